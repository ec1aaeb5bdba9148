/** What a restore's options say of stores; `RestoreOptions` has them all. Null is not given. */
export interface StoreSettings {
  /** URL of a store that speaks S3, for S3 alone. Null: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself. */
  readonly s3Endpoint: string | null
  /** Null: AWS_REGION, AWS_DEFAULT_REGION, the profile's, or what the store answers. */
  readonly s3Region: string | null
  /** Where the bucket's name stands: in the URL's path, or in front of its host. auto: path with an endpoint. */
  readonly s3Addressing: 'auto' | 'path' | 'virtual'
  /** The reader pays for requests and traffic. */
  readonly s3RequesterPays: boolean
  /** File with the customer's key of SSE-C. Null: the variable RESTORE_AGENT_S3_SSE_KEY, or none. */
  readonly s3SseKeyFile: string | null
  /** Of objects that are encrypted each by itself. */
  readonly decryptKeyFile: string | null
}

export const NO_SETTINGS: StoreSettings = {
  s3Endpoint: null,
  s3Region: null,
  s3Addressing: 'auto',
  s3RequesterPays: false,
  s3SseKeyFile: null,
  decryptKeyFile: null,
}

/** Of options, what a transfer process is told. */
export const storeSettingsOf = (settings: StoreSettings): StoreSettings => ({
  s3Endpoint: settings.s3Endpoint,
  s3Region: settings.s3Region,
  s3Addressing: settings.s3Addressing,
  s3RequesterPays: settings.s3RequesterPays,
  s3SseKeyFile: settings.s3SseKeyFile,
  decryptKeyFile: settings.decryptKeyFile,
})

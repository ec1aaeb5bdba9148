import { expect, test } from 'vitest'
import { readPage } from '../../src/source/s3-store.ts'

const page = (contents: string, more = '') =>
  `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>${more}${contents}</ListBucketResult>`

const object = (key: string, more = '') =>
  `<Contents><Key>${key}</Key><LastModified>2026-06-17T14:11:23.000Z</LastModified><ETag>&quot;abc-2&quot;</ETag><Size>10485803</Size>${more}</Contents>`

test('a page of a list: keys in URL form, tags, sizes and times', () => {
  const { objects, next } = readPage(page(object('a%2Bb/c+d%26.xb'), '<EncodingType>url</EncodingType>'))
  expect(next).toBeNull()
  expect(objects).toEqual([
    {
      key: 'a+b/c d&.xb',
      bytes: 10_485_803,
      etag: '"abc-2"',
      modifiedMs: Date.UTC(2026, 5, 17, 14, 11, 23),
      cold: false,
    },
  ])
})

test('keys of a store that does not know the URL form are XML', () => {
  const { objects } = readPage(page(object('a+b/&lt;c&gt; &amp;amp; &#xfc;&#252;%20')))
  expect(objects[0]!.key).toBe('a+b/<c> &amp; üü%20')
})

test('there is a next page where the list is cut', () => {
  const cut = '<IsTruncated>true</IsTruncated><NextContinuationToken>1/a&amp;b=</NextContinuationToken>'
  expect(readPage(page(object('a'), cut)).next).toBe('1/a&b=')
  expect(readPage(page(object('a'), '<IsTruncated>true</IsTruncated>')).next).toBe('')
  expect(readPage(page('', '<IsTruncated>false</IsTruncated>'))).toEqual({ objects: [], next: null })
})

test('archived objects are cold until they are restored', () => {
  const status = (progress: boolean) =>
    `<RestoreStatus><IsRestoreInProgress>${progress}</IsRestoreInProgress></RestoreStatus>`
  const storage = (name: string) => `<StorageClass>${name}</StorageClass>`
  const cold = (more: string) => readPage(page(object('a', more))).objects[0]!.cold
  expect(cold(storage('STANDARD'))).toBe(false)
  expect(cold(storage('GLACIER_IR'))).toBe(false)
  expect(cold(storage('GLACIER'))).toBe(true)
  expect(cold(storage('DEEP_ARCHIVE') + status(true))).toBe(true)
  expect(cold(storage('DEEP_ARCHIVE') + status(false))).toBe(false)
})

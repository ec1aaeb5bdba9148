import { copyFileSync, mkdirSync } from 'node:fs'
import { execa } from 'execa'
import { onTestFinished } from 'vitest'

const run = (file: string, ...args: string[]) =>
  execa(file, args, { env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` } })

/** An ext4 file system on a loop device, gone with the test. Its image is PATH.img. */
export async function ext4Disk(path: string, megabytes: number): Promise<{ path: string; losePower(): Promise<void> }> {
  const [image, after] = [`${path}.img`, `${path}.after.img`]
  await run('truncate', '-s', `${megabytes}M`, image)
  await run('mkfs.ext4', '-q', '-F', image)
  mkdirSync(path)
  await run('mount', '-o', 'loop', image, path)
  onTestFinished(async () => {
    await execa('umount', ['--lazy', path], { reject: false })
  })
  return {
    path,
    /** What has reached the image by now is on the disk after the reboot; what the kernel still held is lost. */
    async losePower() {
      copyFileSync(image, after)
      await run('umount', path)
      await run('mount', '-o', 'loop', after, path)
    },
  }
}

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import type { SavedSession, SessionStore } from "./types.js"

/**
 * Keeps a session in a file, so that it and its links outlive a restart of the program:
 * `connect({ resume: fileStore("./session.json"), … })`.
 *
 * The file has secrets: it is made for its owner alone (0600), with the folders that it needs, and written in one step.
 * Two programs that use it at once take the session from each other. It is gone when the session ends.
 *
 * @throws Error when the file is there and can't be read, or is no saved session.
 */
export function fileStore(path: string): SessionStore {
  const file = resolve(path)
  return {
    load() {
      let text
      try {
        text = readFileSync(file, "utf8")
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return null
        throw error
      }
      try {
        return JSON.parse(text) as SavedSession
      } catch (cause) {
        throw new Error(`${file} is no saved session: it is not valid JSON. Remove it to start a new one.`, { cause })
      }
    },
    save(saved) {
      if (!saved) return rmSync(file, { force: true })
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      const beside = `${file}.${process.pid}.new`
      writeFileSync(beside, `${JSON.stringify(saved)}\n`, { mode: 0o600 })
      renameSync(beside, file)
    },
  }
}

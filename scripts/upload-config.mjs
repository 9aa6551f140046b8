// Writes wrangler.toml as the JSON that scripts/deploy.sh gives to wrangler:
//
//   node scripts/upload-config.mjs FILE
//
// It is the same configuration without [build]: what is uploaded has been built
// and checked before, and a build that wrangler starts would find Cloudflare's
// credentials in its environment. Paths are written anew, as wrangler takes them
// to be relative to the file.

import { writeFileSync } from "node:fs"
import { dirname, relative, resolve } from "node:path"
import { ROOT, readWrangler } from "./wrangler-toml.mjs"

const [file] = process.argv.slice(2)
const { build, ...config } = readWrangler()
const moved = (path) => relative(dirname(resolve(file)), resolve(ROOT, path))
config.main = moved(config.main)
config.assets.directory = moved(config.assets.directory)
writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`)

// Cloudflare's `_headers` file: which headers the static pages get.

/**
 * Parses it to `[{ path, set: [[name, value]…], unset: [name…] }]`; `path` is
 * the source of a regular expression for the whole path. Lines that are
 * indented belong to the path above them; `! Name` takes a header away. A rule
 * for a whole URL (`https://…`) is for that host alone, and so left out here.
 */
export function parseHeaders(source) {
  const rules = []
  let current
  for (const [index, raw] of source.split(/\r?\n/).entries()) {
    const line = raw.trim()
    const where = `_headers, line ${index + 1}`
    if (line === "" || line.startsWith("#")) continue
    const name = /^!?\s*([^\s:]+)/.exec(line)?.[1]
    if (!/^\s/.test(raw)) {
      if (!/^(\/|https:\/\/)/.test(line)) throw new Error(`${where}: a path starts with '/', and the headers below it are indented: '${line}'`)
      current = { path: pattern(line), set: [], unset: [] }
      if (line.startsWith("/")) rules.push(current)
    } else if (!current) {
      throw new Error(`${where}: a header stands before the first path`)
    } else if (line.startsWith("!")) {
      current.unset.push(name.toLowerCase())
    } else {
      const colon = line.indexOf(":")
      if (colon < 1 || !/^[\w!#$%&'*+.^`|~-]+$/.test(line.slice(0, colon))) throw new Error(`${where}: expected 'Name: value', found '${line}'`)
      current.set.push([line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()])
    }
  }
  return rules
}

/** `*` stands for anything, `:name` for anything within one part of the path. */
function pattern(path) {
  const escaped = path.replace(/[.+?^${}()|[\]\\]/g, "\\$&")
  return `^${escaped.replaceAll("*", ".*").replace(/:[A-Za-z]\w*/g, "[^/]+")}$`
}

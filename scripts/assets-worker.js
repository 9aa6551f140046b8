// Serves public/ on bare workerd, as Cloudflare's asset server does with the
// defaults of wrangler.toml: GET and HEAD only, /x is x.html, / is index.html,
// 404 for what is not a file, and the headers of the `_headers` file.
//
// Bindings: FILES, a disk service; RULES, the parsed `_headers`.

const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/vnd.microsoft.icon",
  jpg: "image/jpeg",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  map: "application/json",
  md: "text/markdown; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  png: "image/png",
  svg: "image/svg+xml",
  tgz: "application/gzip",
  txt: "text/plain; charset=utf-8",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
  webp: "image/webp",
  woff2: "font/woff2",
  xml: "application/xml",
}

/** The file's path without its query, or undefined if it is none that may be served. */
function decoded(pathname) {
  let path
  try {
    path = decodeURIComponent(pathname)
  } catch {
    return undefined
  }
  const parts = path.split("/").slice(1)
  // Control files, dotfiles, every way of leaving the folder, and an empty part
  // (`//host/` would be another host in a redirect).
  const bad = (part, index) => part.startsWith(".") || /[\\\0]/.test(part) || (part === "" && index < parts.length - 1)
  return parts.some(bad) || ["/_headers", "/_redirects"].includes(path) ? undefined : path
}

async function file(env, path) {
  const url = "http://files" + path.split("/").map(encodeURIComponent).join("/")
  const response = await env.FILES.fetch(url)
  // A folder is listed as JSON, with a type of its own; a file has none that tells.
  if (response.status !== 200 || response.headers.get("content-type")?.startsWith("application/json")) {
    await response.body?.cancel()
    return undefined
  }
  return response.body
}

/** Where a page of this path lives now, as html_handling "auto-trailing-slash" has it. */
function canonical(path) {
  if (path.endsWith("/index.html")) return path.slice(0, -"index.html".length)
  if (path.endsWith(".html")) return path.slice(0, -".html".length)
  return undefined
}

function headers(env, path, type) {
  const result = new Headers({ "content-type": type, "cache-control": "public, max-age=0, must-revalidate" })
  const set = new Set()
  for (const rule of env.RULES) {
    if (!new RegExp(rule.path).test(path)) continue
    for (const name of rule.unset) result.delete(name)
    for (const [name, value] of rule.set) {
      // Values that several rules give are joined; they replace a default.
      if (set.has(name)) result.append(name, value)
      else result.set(name, value)
      set.add(name)
    }
  }
  return result
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    const path = decoded(url.pathname)
    if (path === undefined) return new Response("Not Found", { status: 404 })

    const moved = (to) => new Response(null, { status: 307, headers: { location: to + url.search } })
    const type = TYPES[/\.(\w+)$/.exec(path)?.[1]?.toLowerCase()]
    let body
    let served = type ?? "application/octet-stream"
    if (path.endsWith("/")) {
      body = await file(env, path + "index.html")
      served = TYPES.html
      if (!body && path !== "/") {
        body = await file(env, path.slice(0, -1) + ".html")
        if (body) {
          await body.cancel()
          return moved(path.slice(0, -1))
        }
      }
    } else {
      body = await file(env, path)
      const better = body && canonical(path)
      if (better !== undefined) {
        await body.cancel()
        return moved(better)
      }
      if (!body) {
        body = await file(env, path + ".html")
        served = TYPES.html
      }
      if (!body) {
        body = await file(env, path + "/index.html")
        if (body) {
          await body.cancel()
          return moved(path + "/")
        }
      }
    }
    if (!body) return new Response("Not Found", { status: 404 })
    if (request.method !== "GET" && request.method !== "HEAD") {
      await body.cancel()
      return new Response("Method Not Allowed", { status: 405, headers: { allow: "GET, HEAD" } })
    }
    if (request.method === "HEAD") {
      await body.cancel()
      body = null
    }
    return new Response(body, { headers: headers(env, url.pathname, served) })
  },
}

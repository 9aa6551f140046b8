/** Requests of the MCP door, made by hand. */

export const MODERN = "2026-07-28"
export const LEGACY = ["2025-03-26", "2025-06-18", "2025-11-25"]

/** A modern request's body and headers, made by hand. */
export function modern(method, params = {}, { capabilities = {}, id = 1 } = {}) {
  const { _meta, ...rest } = params
  const name = params.name ?? params.uri
  return {
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": MODERN,
      "mcp-method": method,
      ...(name === undefined ? {} : { "mcp-name": name }),
    },
    body: {
      jsonrpc: "2.0", id, method,
      params: {
        ...rest,
        _meta: {
          "io.modelcontextprotocol/protocolVersion": MODERN,
          "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
          "io.modelcontextprotocol/clientCapabilities": capabilities,
          ..._meta,
        },
      },
    },
  }
}

/** A request of an older revision. */
export function legacy(version, method, params = {}, { id = 1 } = {}) {
  return {
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(method === "initialize" ? {} : { "mcp-protocol-version": version }),
    },
    body: { jsonrpc: "2.0", id, method, params },
  }
}

/** Posts it; resolves to the status, the headers and every message of the answer, the last one being the response. */
export async function post(url, { headers, body }, init = {}) {
  const response = await fetch(url, { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body), ...init })
  const text = await response.text()
  const isStream = response.headers.get("content-type") === "text/event-stream"
  const messages = isStream ? [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data)) : text === "" ? [] : [JSON.parse(text)]
  return { status: response.status, headers: response.headers, isStream, text, messages, message: messages.at(-1) }
}

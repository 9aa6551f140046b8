import { checkInputs, readOptions } from "./options.js"
import { Session } from "./session.js"
import type { ConnectOptions, Tool } from "./types.js"

/**
 * Opens a session at a relay, or goes on with a saved one, and keeps it open until `close()`.
 *
 * Resolves when the relay knows the app. Without a session to resume, the first try decides; with one, it tries for as
 * long as `autoReconnect` says.
 *
 * @throws AgentSocketError `invalid_option` names the option that is wrong; `unreachable`; `no_websocket`; or the
 * relay's reason to refuse the app, such as `unknown_app_id` and `origin_denied`. What `signal` was aborted with.
 */
export async function connect<const Schemas extends readonly unknown[]>(
  options: Omit<ConnectOptions, "tools"> & { tools: { readonly [I in keyof Schemas]: Tool<Schemas[I]> } },
): Promise<Session> {
  const settings = readOptions(options as ConnectOptions)
  await checkInputs(settings.tools)
  const saved = await settings.store?.load()
  settings.signal?.throwIfAborted()
  const session = new Session(settings, saved ?? null)
  await session.open()
  return session
}

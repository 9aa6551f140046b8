/** What the examples share: the list of calls that a person can watch. */

const MAX_CALLS = 50

/** Shows each call of the session in a list, newest first. */
export function showCalls(session, list) {
  return session.on("call", ({ method, path, agent, status }) => {
    const item = document.createElement("li")
    if (status >= 400) item.className = "bad"
    const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false })
    for (const [name, text] of [["time", time], ["what", `${method} ${path}`], ["by", agent?.label ?? ""], ["status", status]]) {
      item.append(Object.assign(document.createElement("span"), { className: name, textContent: text }))
    }
    list.prepend(item)
    while (list.children.length > MAX_CALLS) list.lastChild.remove()
  })
}

/** Tells the person when links have changed; `notice` is an element with role="alert". */
export function sayChanges(notice) {
  return {
    onSessionChanged() { notice.textContent = "The relay no longer had this session, so its links are new: share them again." },
    onDisconnect({ reason }) {
      if (reason === "replaced") notice.textContent = "This session goes on in another tab. Reload to start one here."
      if (reason === "refused") notice.textContent = "The relay refuses this page."
    },
  }
}

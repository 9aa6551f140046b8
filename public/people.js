// The page for people, where scripts run: fields for nested objects and arrays, Markdown, saving, a log of this tab.
// Words of apps become text and nothing else: all of it goes through textContent, value and the names of properties.
"use strict"
{
  const make = (tag, members = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), members)
    element.append(...children)
    return element
  }
  let ids = 0

  // ---- nested fields ----

  const MAX_DEPTH = 6
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value)

  /** A schema past its references and past "or null". */
  function resolve(schema, root) {
    for (let hops = 0; hops < 9; hops++) {
      if (!isObject(schema)) return {}
      if (typeof schema.$ref === "string" && schema.$ref.startsWith("#")) {
        const path = decodeURIComponent(schema.$ref.slice(1)).split("/").slice(1)
        const target = path.reduce((at, part) => (at && Object.hasOwn(at, part.replaceAll("~1", "/").replaceAll("~0", "~")) ? at[part.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined), root)
        schema = target
        continue
      }
      const some = (schema.anyOf ?? schema.oneOf ?? []).filter?.((one) => one?.type !== "null") ?? []
      if (schema.type === undefined && some.length === 1) schema = some[0]
      else return schema
    }
    return {}
  }

  const typeOf = (schema) => {
    const types = [schema.type].flat().filter((one) => one && one !== "null")
    return types.length === 1 ? types[0] : schema.properties ? "object" : schema.items ? "array" : ""
  }

  /** Fields for a value: the element, and what reads it; `undefined` for what is left out. */
  function editor(given, root, value, changed, depth) {
    const schema = resolve(given, root)
    const start = value === undefined ? schema.default : value
    if (Array.isArray(schema.enum)) return choice(schema.enum, start, changed)
    const type = typeOf(schema)
    if (type === "boolean") return choice([true, false], start, changed, ["yes", "no"])
    if (type === "object" && isObject(schema.properties) && depth < MAX_DEPTH) return objectEditor(schema, root, start, changed, depth)
    if (type === "array" && depth < MAX_DEPTH) return arrayEditor(schema, root, start, changed, depth)
    if (type === "string" || type === "number" || type === "integer") return line(schema, type, start, changed)
    return json(start, changed)
  }

  function choice(values, start, changed, labels = values.map((one) => (typeof one === "string" ? one : JSON.stringify(one)))) {
    const select = make("select", {}, make("option", { value: "", textContent: "leave out" }))
    values.forEach((one, i) => select.append(make("option", { value: String(i), textContent: labels[i], selected: JSON.stringify(one) === JSON.stringify(start) })))
    select.addEventListener("input", changed)
    return { element: select, read: () => (select.value === "" ? undefined : values[Number(select.value)]) }
  }

  function line(schema, type, start, changed) {
    const example = Array.isArray(schema.examples) ? schema.examples[0] : undefined
    const isText = type === "string"
    const long = isText && schema.maxLength > 200
    const field = make(long ? "textarea" : "input", { ...(!long && { type: isText ? "text" : "number" }), value: start === undefined || start === null ? "" : String(start), autocomplete: "off" })
    if (!isText) field.step = type === "integer" ? "1" : "any"
    for (const [from, to] of [["minimum", "min"], ["maximum", "max"]]) if (!isText && typeof schema[from] === "number") field[to] = String(schema[from])
    for (const name of ["minLength", "maxLength"]) if (isText && Number.isInteger(schema[name]) && schema[name] >= 0) field[name] = schema[name]
    if (example !== undefined && typeof example !== "object") field.placeholder = String(example)
    field.addEventListener("input", changed)
    return { element: field, read: () => (field.value === "" ? undefined : isText ? field.value : Number(field.value)) }
  }

  function json(start, changed) {
    const field = make("textarea", { className: "code", rows: 2, value: start === undefined ? "" : JSON.stringify(start), placeholder: "JSON" })
    const read = () => {
      try {
        field.setCustomValidity("")
        return field.value.trim() === "" ? undefined : JSON.parse(field.value)
      } catch {
        field.setCustomValidity("This must be JSON.")
        return undefined
      }
    }
    field.addEventListener("input", changed)
    return { element: field, read }
  }

  function named(name, schema, root, isNeeded, inner) {
    const { description } = resolve(schema, root)
    const id = `n${ids++}`
    const isGroup = inner.element.tagName === "FIELDSET"
    const label = isGroup ? make("legend", { textContent: name }) : make("label", { htmlFor: id, textContent: name })
    if (isNeeded) label.append(" ", make("span", { className: "needed", textContent: "needed" }))
    const hint = typeof description === "string" ? [make("span", { className: "hint", textContent: description })] : []
    if (isGroup) {
      inner.element.prepend(label, ...hint)
      return inner.element
    }
    inner.element.id = id
    return make("p", { className: "field" }, label, inner.element, ...hint)
  }

  function objectEditor(schema, root, start, changed, depth) {
    const given = isObject(start) ? start : {}
    const needed = new Set(Array.isArray(schema.required) ? schema.required : [])
    const parts = Object.entries(schema.properties).map(([name, one]) => {
      const inner = editor(one, root, Object.hasOwn(given, name) ? given[name] : undefined, changed, depth + 1)
      return { name, inner, element: named(name, one, root, needed.has(name), inner) }
    })
    const element = make("fieldset", {}, ...parts.map((part) => part.element))
    // What the schema does not name, but was there, stays.
    const others = Object.entries(given).filter(([name]) => !Object.hasOwn(schema.properties, name))
    const read = () => {
      const entries = [...others, ...parts.map(({ name, inner }) => [name, inner.read()]).filter(([, value]) => value !== undefined)]
      return entries.length ? Object.fromEntries(entries) : undefined
    }
    return { element, read }
  }

  function arrayEditor(schema, root, start, changed, depth) {
    const items = Array.isArray(schema.items) ? {} : (schema.items ?? {})
    let rows = []
    const list = make("div", { className: "items" })
    const number = () => rows.forEach(({ element }, i) => {
      element.querySelector(":scope > .remove").textContent = `Remove ${i + 1}`
      element.setAttribute("aria-label", `Entry ${i + 1}`)
    })
    const add = (value) => {
      const inner = editor(items, root, value, changed, depth + 1)
      const remove = make("button", { type: "button", className: "plain remove" })
      if (inner.element.tagName !== "FIELDSET") inner.element.setAttribute("aria-label", "Value")
      const element = make("div", { className: "item", role: "group" }, inner.element, remove)
      const row = { element, read: () => { const value = inner.read(); return value === undefined && isObject(resolve(items, root).properties) ? {} : value } }
      remove.addEventListener("click", () => {
        rows = rows.filter((one) => one !== row)
        element.remove()
        number()
        more.focus()
        changed()
      })
      rows.push(row)
      list.append(element)
      number()
      return inner.element
    }
    const more = make("button", { type: "button", className: "plain", textContent: "Add" })
    more.addEventListener("click", () => {
      const element = add(undefined)
      ;(element.matches("fieldset") ? element.querySelector("input,select,textarea,button") : element)?.focus()
      changed()
    })
    if (Array.isArray(start)) start.forEach((value) => add(value))
    const element = make("fieldset", {}, list, more)
    return { element, read: () => (rows.length ? rows.map((row) => row.read()).filter((value) => value !== undefined) : undefined) }
  }

  /** Puts fields in the place of a field for JSON. The form still sends that one. */
  function enhance(form, area, root) {
    const name = area.dataset.name
    const schema = name === "" ? root : resolve(root, root).properties?.[name]
    const type = typeOf(resolve(schema, root))
    if (!(type === "array" || (type === "object" && isObject(resolve(schema, root).properties)))) return
    let value
    try {
      value = area.value.trim() === "" ? undefined : JSON.parse(area.value)
    } catch {
      return // it is told that this is no JSON
    }
    const wasNeeded = area.required
    let fields
    const write = () => {
      const read = fields.read() ?? (wasNeeded ? (type === "array" ? [] : {}) : undefined)
      area.value = read === undefined ? "" : JSON.stringify(read)
    }
    fields = editor(schema, root, value, write, 0)
    const box = area.closest(".field")
    const label = box.querySelector("label")
    const asText = make("button", { type: "button", className: "plain small", textContent: "Edit as JSON" })
    fields.element.prepend(make("legend", {}, ...[...label.childNodes].map((node) => node.cloneNode(true))))
    const hint = box.querySelector(".hint")?.lastChild
    const said = hint?.nodeType === Node.TEXT_NODE ? hint.data : ""
    if (said) hint.data = said.replace(/ ?\(?as JSON\)?$/i, "")
    fields.element.append(asText)
    area.required = false
    area.hidden = label.hidden = true
    box.before(fields.element)
    write()
    asText.addEventListener("click", () => {
      if (area.value !== "") area.value = JSON.stringify(JSON.parse(area.value), null, 2)
      fields.element.remove()
      area.required = wasNeeded
      area.hidden = label.hidden = false
      if (said) hint.data = said
      area.focus()
    })
    form.addEventListener("submit", () => { if (fields.element.isConnected) write() }, { capture: true })
  }

  for (const form of document.querySelectorAll("form[data-schema]")) {
    try {
      const root = JSON.parse(form.dataset.schema)
      for (const area of form.querySelectorAll("textarea[data-name]")) enhance(form, area, root)
    } catch (error) {
      console.warn("agent-socket: the fields stay JSON", error)
    }
  }
  document.querySelector("[aria-invalid=true]:not([hidden])")?.focus()

  // ---- Markdown: text, lists, code and links; no markup of its own, and no image is loaded ----

  /** Text with code, emphasis and links in it. */
  function inline(text) {
    const parts = []
    const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|(!?)\[([^\]]*)\]\(([^()\s]+)\)|(?<![\w*])\*([^*\s][^*]*)\*/g
    let at = 0
    for (const found of text.matchAll(pattern)) {
      const [whole, code, strong, image, title, to, emphasis] = found
      parts.push(text.slice(at, found.index))
      at = found.index + whole.length
      if (code !== undefined) parts.push(make("code", { textContent: code }))
      else if (strong !== undefined) parts.push(make("b", { textContent: strong }))
      else if (emphasis !== undefined) parts.push(make("em", { textContent: emphasis }))
      else if (/^https?:\/\//i.test(to)) parts.push(make("a", { href: to, rel: "noopener noreferrer nofollow", textContent: (image ? "image: " : "") + (title || to) }))
      else parts.push(whole)
    }
    parts.push(text.slice(at))
    return parts.filter((part) => part !== "")
  }

  function markdown(text) {
    const out = make("div", { className: "md" })
    const lines = text.replaceAll("\r\n", "\n").split("\n")
    for (let i = 0; i < lines.length;) {
      const line = lines[i]
      const fence = /^\s*(```|~~~)/.exec(line)?.[1]
      const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line)
      const mark = /^\s*(?:[-*+]|(\d+)[.)])\s+/.exec(line)
      const take = (fits) => { const taken = []; while (i < lines.length && fits(lines[i])) taken.push(lines[i++]); return taken }
      if (fence) {
        i++
        const code = take((one) => !one.trim().startsWith(fence))
        i++
        out.append(make("pre", { tabIndex: 0, textContent: code.join("\n") }))
      } else if (heading) {
        i++
        out.append(make(heading[1].length < 3 ? "h3" : "h4", {}, ...inline(heading[2])))
      } else if (mark) {
        const list = make(mark[1] ? "ol" : "ul")
        for (const one of take((one) => /^\s*(?:[-*+]|\d+[.)])\s+/.test(one) || /^\s{2,}\S/.test(one))) {
          const text = one.replace(/^\s*(?:[-*+]|\d+[.)])\s+/, "")
          if (text === one && list.lastChild) list.lastChild.append(" ", ...inline(one.trim()))
          else list.append(make("li", {}, ...inline(text)))
        }
        out.append(list)
      } else if (/^\s*>/.test(line)) {
        out.append(make("blockquote", {}, ...inline(take((one) => /^\s*>/.test(one)).map((one) => one.replace(/^\s*>\s?/, "")).join(" "))))
      } else if (line.trim() === "") {
        i++
      } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
        i++
        out.append(make("hr"))
      } else {
        const first = lines[i++]
        const rest = take((one) => one.trim() !== "" && !/^\s*([-*+>]|\d+[.)]|```|~~~|#{1,6}\s)/.test(one))
        out.append(make("p", {}, ...inline([first, ...rest].join("\n"))))
      }
    }
    return out
  }

  for (const raw of document.querySelectorAll("pre[data-markdown]")) {
    const shown = markdown(raw.textContent)
    const source = make("details", {}, make("summary", { textContent: "As it came" }))
    raw.before(shown, source)
    source.append(raw)
  }

  // ---- saving: browsers take no address of several MB ----

  for (const link of document.querySelectorAll("a.save")) {
    link.addEventListener("click", () => {
      if (!link.href.startsWith("data:")) return
      const bytes = Uint8Array.from(atob(link.href.slice(link.href.indexOf(",") + 1)), (char) => char.charCodeAt(0))
      link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }))
    })
  }

  // ---- what was run in this tab: paths and outcomes, no arguments and no token ----

  const MAX_LOG = 20
  const session = /^\/v1\/t\/[a-z0-9]+_([0-9A-Z]{8})_/.exec(location.pathname)?.[1]
  if (session) {
    const key = `agent-socket log ${session}`
    const read = () => { try { return JSON.parse(sessionStorage.getItem(key) ?? "[]") } catch { return [] } }
    const write = (log) => { try { sessionStorage.setItem(key, JSON.stringify(log.slice(-MAX_LOG))) } catch { /* private windows may have none */ } }
    for (const form of document.querySelectorAll("form[data-run]")) {
      form.addEventListener("submit", () => write([...read(), { at: Date.now(), path: form.dataset.run }]))
    }
    const status = document.getElementById("result")?.dataset.status
    const log = read()
    const last = log.at(-1)
    if (last && last.status === undefined && status) {
      last.status = Number(status)
      write(log)
    }
    if (log.length) {
      const list = make("ol", { reversed: true, className: "log" })
      for (const { at, path, status } of log.reverse()) {
        const outcome = status === undefined ? "running, or left" : status < 400 ? "done" : `failed, ${status}`
        list.append(make("li", {}, make("time", { dateTime: new Date(at).toISOString(), textContent: new Date(at).toLocaleTimeString() }), " ", make("b", { textContent: String(path) }), ` ${outcome}`))
      }
      const clear = make("button", { type: "button", className: "plain", textContent: "Clear" })
      const box = make("details", { className: "card", id: "log" }, make("summary", {}, make("h2", { textContent: "Run in this tab" })), make("div", {}, list, clear))
      clear.addEventListener("click", () => { write([]); box.remove() })
      document.querySelector("main").append(box)
    }
  }
}

/** The page: a form in React that a person and an AI fill together. */

import { StrictMode, useEffect, useReducer, useRef, useState } from "react"
import { createRoot } from "react-dom/client"
import { useAgentSocket } from "@agent-socket/sdk/react"
import { defaultAgentsMd } from "/sdk.js"
import { connectButton, exposeWebMCP, tabStore } from "/sdk-page.js"
import { sayChanges, showCalls } from "/examples/examples.js"
import { EMPTY, FIELDS, FILL_SCHEMA, check } from "./form.js"

const $ = (id) => document.getElementById(id)
const HIGHLIGHT_MS = 1500
const STORE = tabStore("form-filler")

/* ---- the form's state, which both sides change ---- */

function reduce(state, action) {
  if (action.type === "send") return { ...state, tried: true, sent: Object.keys(check(state.values)).length === 0 }
  if (action.type === "clear") return { ...START, byAi: {} }
  const values = { ...state.values, ...action.values }
  const names = Object.keys(action.values)
  const byAi = { ...state.byAi, ...Object.fromEntries(names.map((name) => [name, action.by === "ai"])) }
  return { ...state, values, byAi, sent: false, touched: { ...state.touched, ...Object.fromEntries(names.map((name) => [name, true])) } }
}
const START = { values: EMPTY, byAi: {}, touched: {}, tried: false, sent: false }

/* ---- what an AI can do ---- */

/** `form.current` is what the form shows, and how to change it. */
function toolsFor(form) {
  const state = (values) => ({ values, problems: check(values), complete: Object.keys(check(values)).length === 0 })
  return [
    { method: "GET", path: "/form", read_only: true, description: "Reads the form: {values, problems, complete}; problems has a text for each field that is not right yet.", handler: () => state(form.current.values) },
    {
      path: "/fill", description: "Fills any number of fields; the others stay. Answers like GET /form. The person still has to press Send.", input: FILL_SCHEMA,
      handler({ input }) {
        form.current.dispatch({ type: "fill", by: "ai", values: input })
        return state({ ...form.current.values, ...input })
      },
    },
    { path: "/clear", description: "Empties the form.", handler() { form.current.dispatch({ type: "clear" }); return state(EMPTY) } },
  ]
}

const description = "A form for planning a trip, open in front of a person who sees each change and sends it."
const agentsMd = defaultAgentsMd({
  name: "Trip form", description,
  capabilities: ["read what is filled in and what is still wrong", "fill fields, some or all at once"],
  limits: ["only the person can send the form"],
  conventions: ["dates are YYYY-MM-DD", ...Object.entries(FIELDS).map(([name, field]) => `\`${name}\`: ${field.label}${field.optional ? " (optional)" : ""}`)],
})

/** Lets AIs use the form for as long as it is there. */
function useAgents(form) {
  const [tools] = useState(() => toolsFor(form))
  const { session, error } = useAgentSocket({
    appId: "as_app_anon", appDescription: description, agentsMd, tools, resume: STORE, ...sayChanges($("notice")),
  })
  useEffect(() => { if (error) $("notice").textContent = error.message }, [error])
  useEffect(() => {
    if (!session) return
    const button = connectButton(session)
    $("connect").append(button)
    const stops = [showCalls(session, $("calls")), exposeWebMCP(session), () => button.remove()]
    return () => { for (const stop of stops) stop() }
  }, [session])
}

/* ---- what a person sees ---- */

function Field({ name, value, problem, byAi, onChange }) {
  const { label, type, autoComplete, optional, schema } = FIELDS[name]
  const [glows, setGlows] = useState(false)
  useEffect(() => {
    if (!byAi) return setGlows(false)
    setGlows(true)
    const timer = setTimeout(() => setGlows(false), HIGHLIGHT_MS)
    return () => clearTimeout(timer)
  }, [byAi, value])
  const common = {
    id: name, name, value, autoComplete, "aria-invalid": Boolean(problem), "aria-describedby": `${name}-hint`,
    onChange: ({ target }) => onChange(name, type === "number" && target.value !== "" ? target.valueAsNumber : target.value),
  }
  return (
    <div className={`field${type === "textarea" ? " wide" : ""}${glows ? " by-ai" : ""}`}>
      <label htmlFor={name}>{label}{optional && <span className="small"> (optional)</span>}</label>
      {type === "textarea" ? <textarea {...common} />
        : type === "select" ? <select {...common}><option value="">Choose…</option>{schema.enum.map((option) => <option key={option}>{option}</option>)}</select>
        : <input {...common} type={type} min={schema.minimum} max={schema.maximum} />}
      <div className="hint" id={`${name}-hint`}><span className="error">{problem}</span>{byAi && <span className="tag">filled by the AI</span>}</div>
    </div>
  )
}

function TripForm({ form }) {
  const [state, dispatch] = useReducer(reduce, START)
  form.current = { values: state.values, dispatch }
  const problems = check(state.values)
  const change = (name, value) => dispatch({ type: "fill", by: "person", values: { [name]: value } })
  return (
    <form noValidate onSubmit={(event) => { event.preventDefault(); dispatch({ type: "send" }) }}>
      {Object.keys(FIELDS).map((name) => (
        <Field key={name} name={name} value={state.values[name]} byAi={state.byAi[name]} onChange={change}
          problem={state.tried || state.touched[name] ? problems[name] : undefined} />
      ))}
      <div className="row">
        <button className="button primary">Send</button>
        <button className="button" type="button" onClick={() => dispatch({ type: "clear" })}>Clear</button>
      </div>
      <p className="done" role="status" hidden={!state.sent}>All there. This example sends nothing anywhere.</p>
    </form>
  )
}

function App() {
  const form = useRef(null)
  useAgents(form)
  return <TripForm form={form} />
}

createRoot($("form")).render(<StrictMode><App /></StrictMode>)

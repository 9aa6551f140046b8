const items = []

/** The app: its tools, whatever shows the list. */
export const app = (show) => ({
  appId: "as_app_anon",
  appDescription: "A shopping list.",
  agentsMd: "# Shopping list\n\nThe list is open in front of a person, who sees each change at once.",
  tools: [
    { method: "GET", path: "/items", description: "Reads the list.", handler: () => ({ items }) },
    {
      path: "/add", description: "Adds an item.",
      input: { type: "object", properties: { text: { type: "string", minLength: 1, maxLength: 80 } }, required: ["text"] },
      handler({ input }) {
        items.push(input.text)
        show(items)
        return { items }
      },
    },
  ],
})

const items = []

/** The app: its tools, whatever shows the list. */
export const app = (show) => ({
  appId: "as_app_anon",
  appDescription: "A shopping list.",
  agentsMd: "# Shopping list\n\nA person has it open and sees each change at once.",
  tools: [
    { method: "GET", path: "/items", read_only: true, description: "Reads the list.", handler: () => ({ items }) },
    {
      path: "/add",
      description: "Adds an item.",
      input: { type: "object", required: ["text"], properties: { text: { type: "string", minLength: 1 } } },
      handler({ input }) {
        items.push(input.text)
        show(items)
        return { items }
      },
    },
  ],
})

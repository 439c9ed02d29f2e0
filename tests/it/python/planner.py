"""An agent in several steps, as the Pixell SDK's documentation shows one."""

from pixell.sdk import PlanModeAgent, discovery, preview, result


class Planner(PlanModeAgent):
    """Finds things, lets the user choose, shows a plan, carries it out."""

    async def on_query(self, query: str):
        await self.emit_progress(f"looking for {query}")
        return discovery(items=[{"id": "a", "name": "A"}, {"id": "b", "name": "B"}], message="Found two")

    async def on_selection(self, selected: list[str]):
        return preview(intent=f"Search {len(selected)}", plan={"targets": selected})

    async def on_execute(self):
        return result(answer=f"Did {self.state.query} for {', '.join(self.state.selected)}")


agent = Planner(agent_id="planner", name="Planner", discovery_type="things")
server = agent
app = agent.app

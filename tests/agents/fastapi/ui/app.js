// PAR says where the API of this agent is; the page works under every prefix.
const config = await (await fetch("../ui-config.json")).json();

const form = document.querySelector("#form");
const answer = document.querySelector("#answer");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = {
    text: form.querySelector("#text").value,
    longest: Number(form.querySelector("#longest").value),
  };
  const response = await fetch(`${config.apiBase}/summary`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const reply = await response.json();
  answer.textContent = response.ok
    ? `${reply.summary} (${reply.words} words)`
    : `The agent refused: ${JSON.stringify(reply.detail)}`;
});

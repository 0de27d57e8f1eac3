// Writes a system of 200 services in ten namespaces, always the same: services call others that stand a
// layer or more below them.

let state = 20260101;
const random = below => (state = (state * 48271) % 2147483647) % below;
const everybody = Array.from({length: 10}, (_, team) => ({name: "*", namespace: `team-${team}`}));
const key = number => ({name: `service-${String(number).padStart(3, "0")}`, namespace: `team-${number % 10}`});

for (let number = 0; number < 200; number++) {
  const layer = Math.floor(number / 40);
  const lower = (layer + 1) * 40;
  const callees = new Set();
  for (let line = 0; lower < 200 && line < 2 + random(4); line++) callees.add(lower + random(Math.min(60, 200 - lower)));
  const calls = [...callees].map(callee => ({...key(callee), timeout: `${5 - layer}s`, optional: random(4) === 0}));
  const {name, namespace} = key(number);
  const spec = {image: `${name}:v1.0.0`, calls, callers: everybody};
  console.log("---\n" + JSON.stringify({apiVersion: "microservice.dev/v1alpha1", kind: "Microservice", metadata: {name, namespace}, spec}));
}

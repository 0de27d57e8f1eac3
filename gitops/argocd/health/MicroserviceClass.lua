-- Health of a MicroserviceClass for Argo CD. An operator that is limited to namespaces writes no status
-- of classes, so one without a status is healthy: whether it is valid, its services say.

local status = obj.status or {}
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return {
    status = "Progressing",
    message = "microservice-operator has not looked at generation " .. obj.metadata.generation .. " yet.",
  }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Accepted" then
    return { status = condition.status == "True" and "Healthy" or "Degraded", message = condition.message }
  end
end
return { status = "Healthy", message = "It is stored; no operator of the whole cluster has judged it." }

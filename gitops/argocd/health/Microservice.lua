-- Health of a Microservice for Argo CD. It reads what `kubectl get msvc` shows: the conditions, and
-- only when they are about the generation that is stored now.

local function condition(kind)
  for _, found in ipairs(obj.status and obj.status.conditions or {}) do
    if found.type == kind then
      return found
    end
  end
end

local function health(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "It is being deleted with everything that belongs to it.")
end
local ready = condition("Ready")
if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "microservice-operator has not looked at generation " .. obj.metadata.generation .. " yet.")
end
local stalled, reconciling = condition("Stalled"), condition("Reconciling")
if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", stalled.message)
end
if obj.spec.suspend == true then
  return health("Suspended", ready.message)
end
if reconciling ~= nil and reconciling.status == "True" then
  return health("Progressing", ready.message)
end
if ready.status == "True" then
  return health("Healthy", ready.message)
end
return health("Degraded", ready.message)

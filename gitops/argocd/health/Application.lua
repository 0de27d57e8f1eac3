-- Health of an Application for the Application that it is part of: what it says of itself. Argo CD has
-- none of its own, and without one a sync wave does not wait for the Applications of the wave before.

local health = (obj.status or {}).health or {}
if health.status == nil then
  return { status = "Progressing", message = "It has not been compared with its repository yet." }
end
return { status = health.status, message = health.message or ("The application is " .. health.status .. ".") }

-- Argo CD's health of a ModelDeployment, a ModelRollout or a BatchInference: what kstatus says of it, and Suspended where a
-- person has stopped it. `obj` is the object; docs/gitops.md.
local status = obj.status or {}
local generation = obj.metadata.generation
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(type, value)
  return conditions[type] ~= nil and conditions[type].status == value
end

local function said(type)
  return conditions[type].message or conditions[type].reason or ""
end

if generation ~= nil and (status.observedGeneration == nil or status.observedGeneration < generation) then
  -- A ModelRollout that has ended is not looked at again, and one of an older operator says no generation.
  if status.outcome == nil then
    return { status = "Progressing", message = "the operator has not seen this version of it yet" }
  end
end
if is("Stalled", "True") then
  return { status = "Degraded", message = said("Stalled") }
end
if is("Suspended", "True") or (status.paused and status.outcome == nil) then
  return { status = "Suspended", message = is("Suspended", "True") and said("Suspended") or "a person has paused it" }
end
if is("Reconciling", "True") then
  return { status = "Progressing", message = said("Reconciling") }
end
if is("Ready", "False") then
  return { status = "Progressing", message = said("Ready") }
end
return { status = "Healthy", message = conditions["Ready"] ~= nil and said("Ready") or status.message or "" }

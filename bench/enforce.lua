-- wrk's side: POST /enforce with a new key each time and, with CYCLE=1, the commit of every permit after it.
-- Environment: METERING_KEY, TENANTS (how many take part), CYCLE, RUN (in every idempotency key).
-- The last line of the output is one JSON object for run.py.

local threads = {}
local next_id = 0

function setup(thread)
  next_id = next_id + 1
  thread:set("id", next_id)
  table.insert(threads, thread)
end

function init(args)
  tenants, cycle, run = tonumber(os.getenv("TENANTS")), os.getenv("CYCLE") == "1", os.getenv("RUN")
  sent, permitted, wrong, open = 0, 0, 0, {}
  example = ""
  math.randomseed(id * 7919)
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("METERING_KEY")
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  local reservation = table.remove(open)
  if reservation then
    return wrk.format(nil, "/api/v1/reservations/" .. reservation .. "/commit", nil,
      '{"usage":{"input_tokens":1180,"output_tokens":300}}')
  end
  sent = sent + 1
  wrk.headers["Idempotency-Key"] = run .. "-" .. id .. "-" .. sent
  return wrk.format(nil, "/api/v1/enforce", nil, string.format(
    '{"tenant":"BENCH_%04d","task":"LLM2_DRAFT","estimate":{"input_tokens":1200,"max_output_tokens":500},' ..
    '"ttl_seconds":86400}', math.random(tenants)))
end

function response(status, headers, body)
  local reservation = body:match('"allowed":true.-"reservation_id":"([^"]+)"')
  if status ~= 200 or body:find('"allowed":false', 1, true) then
    wrong = wrong + 1
    example = body
  elseif reservation then
    permitted = permitted + 1
    if cycle then table.insert(open, reservation) end
  end
end

function done(summary, latency)
  local permitted, wrong = 0, 0
  for _, thread in ipairs(threads) do
    permitted, wrong = permitted + thread:get("permitted"), wrong + thread:get("wrong")
    if thread:get("example") ~= "" then print(thread:get("example")) end
  end
  local errors = summary.errors
  print(string.format(
    '{"permitted": %d, "requests": %d, "seconds": %.3f, "p50_ms": %.2f, "p95_ms": %.2f, "p99_ms": %.2f, "wrong": %d}',
    permitted, summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, wrong + errors.connect + errors.read + errors.write + errors.timeout))
end

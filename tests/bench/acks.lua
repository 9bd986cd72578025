-- wrk: each request is the next line of the file named by $WEBHOOKS, for each thread another part of it.
local counter = 0
function setup(thread)
  thread:set("part", counter)
  counter = counter + 1
end

function init(args)
  lines = {}
  local n = 0
  for line in io.lines(os.getenv("WEBHOOKS")) do
    if n % 2 == part then lines[#lines + 1] = line end
    n = n + 1
  end
  at = 0
  wrapped = 0
end

function request()
  at = at + 1
  if at > #lines then at = 1; wrapped = wrapped + 1 end
  local signature, body = lines[at]:match("^(%x+) (.*)$")
  return wrk.format("POST", nil, { ["X-Rhombus-Signature-SHA256"] = signature, ["Content-Type"] = "application/json" }, body)
end

function done(summary, latency, requests)
  io.write(string.format("RESULT requests/s %.0f p50_ms %.2f p99_ms %.2f errors %d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.connect))
end

// Plug point: how one probe of one host is carried out (HTTP, TCP, gRPC).
// Implemented in proxy/, which owns sockets; health/ only says when and draws
// the conclusions (active_checker.h).

#ifndef REMORA_HEALTH_PROBER_H_
#define REMORA_HEALTH_PROBER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "lb/host.h"
#include "lb/host_set.h"

namespace remora::health {

enum class ProbeKind : uint8_t {
  kPass,
  kDegraded,   // passed, and said `x-envoy-degraded`
  kRetriable,  // an answer that the check counts towards the threshold (HTTP
               // `retriable_statuses`)
  kFail,       // an answer that says unhealthy: no threshold
  kNetwork,    // refused, reset, protocol error: counts towards the threshold
  kTimeout,    // no answer in time: likewise
};

struct ProbeResult {
  ProbeKind kind = ProbeKind::kNetwork;
  uint32_t http_status = 0;  // of an HTTP probe's answer; 0 without one
};

// A probe that was started. Destroying it cancels it: its callback will not
// come.
class Probe {
 public:
  virtual ~Probe() = default;
};

class Prober {
 public:
  virtual ~Prober() = default;
  // Main loop. Probes once, with its configuration's timeout, and calls `done`
  // exactly once from a later turn (never from within Start). `done` may
  // destroy the handle. The prober may keep connections between probes and must
  // outlive its handles.
  virtual std::unique_ptr<Probe> Start(const lb::HostEntry& entry,
                                       std::function<void(ProbeResult)> done) = 0;
  // The host has left: drop what is kept for it (connections).
  virtual void Forget(const lb::Host& host) = 0;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_PROBER_H_

// Plug point: a feed of services and endpoints. A file, Consul's catalog and
// Kubernetes' EndpointSlices are all the same to the rest of the control
// plane: something that says, again and again, "this is the whole of what I
// know". To add one, derive from `Source` and make it in main.cc.
#ifndef REMORA_XDS_CONTROL_SOURCE_H_
#define REMORA_XDS_CONTROL_SOURCE_H_

#include <functional>

#include "absl/status/status.h"
#include "xds/control/services.h"

namespace remora::control {

class Source {
 public:
  // Takes everything the source knows now; what was there before and is not
  // there now is gone. May be called from any thread; does not block.
  using Sink = std::function<void(Services)>;

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  // Stops the feed: when it has returned, the sink is not called any more.
  virtual ~Source() = default;

  // Reads once, hands that to `sink` before it returns, and goes on to watch
  // from a thread of its own. Fails if the first reading does: a control plane
  // is not started on a mistake. Later mistakes are the source's to report;
  // it then says nothing to the sink, so the last good state stays in force.
  // Called once.
  virtual absl::Status Start(Sink sink) = 0;
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_SOURCE_H_

// Checks of an address before gRPC is asked to listen there, because gRPC says
// only that it could not.
#ifndef REMORA_XDS_CONTROL_LISTENING_H_
#define REMORA_XDS_CONTROL_LISTENING_H_

#include <string>

#include "absl/status/status.h"

namespace remora::control {

// Whether `address` ("HOST:PORT" or "unix:PATH") could be listened on now; the
// error names address and cause. A socket file that nobody serves is removed.
absl::Status CheckListen(const std::string& address);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_LISTENING_H_

#ifndef REMORA_FILTERS_API_SIDE_CALL_H_
#define REMORA_FILTERS_API_SIDE_CALL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/headers.h"

namespace remora {

// Calls that a filter makes while its exchange waits: to an authorisation service, for keys.
//
// Threads: the stream's. The handle's destructor cancels the call, after which nothing is called.
// `done` is called once, from a later turn; a filter that is over (OnEnd) drops its handles.
class SideCall {
 public:
  virtual ~SideCall() = default;
};

// How often a call is repeated that failed or was answered 5xx, after growing delays with jitter.
struct SideRetries {
  uint32_t most = 0;
  int64_t base_ms = 1000;
  int64_t longest_ms = 10000;
};

// A request of one piece and its whole answer.
struct HttpCall {
  absl::string_view cluster;
  const Headers* headers = nullptr;  // copied
  const Body* body = nullptr;        // shared; null: none
  int64_t timeout_ms = 0;            // of all tries together; 0: none
  SideRetries retries;
  // A longer answer ends the call with kFailed.
  uint64_t max_answer_bytes = 16 * 1024 * 1024;
};

enum class HttpCallEnd : uint8_t {
  kAnswered,   // whatever its status
  kNoCluster,  // there is no such cluster
  kTimeout,
  kFailed,  // no connection, no healthy host, a reset
};

struct HttpAnswer {
  HttpCallEnd end = HttpCallEnd::kFailed;
  // With kAnswered only; both are valid for the call of `done`.
  const Headers* headers = nullptr;
  absl::string_view body;
};
using HttpCallDone = std::function<void(const HttpAnswer& answer)>;

// A unary gRPC call; messages are serialized.
struct GrpcCall {
  absl::string_view cluster;
  absl::string_view method;     // "/package.Service/Method"
  absl::string_view authority;  // empty: the cluster's name
  // Lower-case names; `-bin` values already in base64.
  std::vector<std::pair<std::string, std::string>> metadata;
  int64_t timeout_ms = 0;  // 0: none
  absl::string_view request;
};

struct GrpcAnswer {
  int status = 0;             // google.rpc.Code
  absl::string_view message;  // what the status says
  absl::string_view response;
};
using GrpcCallDone = std::function<void(const GrpcAnswer& answer)>;

// What a gRPC call with many messages each way tells the filter that opened it. Never from inside a
// call of the stream's.
class SideStreamEvents {
 public:
  virtual void OnSideMessage(absl::string_view message) = 0;
  // The last call; the status as in GrpcAnswer.
  virtual void OnSideClosed(int status, absl::string_view message) = 0;

 protected:
  ~SideStreamEvents() = default;
};

// The destructor cancels what is still open.
class SideStream {
 public:
  virtual ~SideStream() = default;
  virtual void Send(absl::string_view message) = 0;
  // No more messages from here.
  virtual void CloseSend() = 0;
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_SIDE_CALL_H_

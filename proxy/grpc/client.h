#ifndef REMORA_PROXY_GRPC_CLIENT_H_
#define REMORA_PROXY_GRPC_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/headers.h"

namespace remora::proxy {

class WorkerView;

// gRPC calls over HTTP/2 to any cluster, on any loop: main's for the control plane, a worker's for
// side calls of filters. Messages are serialized protobufs; this room does not know their types.
//
// Every open call is a handle whose destructor cancels it (RST_STREAM); after that nothing is
// called. Events never come from inside the call that starts or sends.

// gRPC's status codes (google.rpc.Code).
enum GrpcCode : int {
  kGrpcOk = 0,
  kGrpcCancelled = 1,
  kGrpcUnknown = 2,
  kGrpcInvalidArgument = 3,
  kGrpcDeadlineExceeded = 4,
  kGrpcNotFound = 5,
  kGrpcAlreadyExists = 6,
  kGrpcPermissionDenied = 7,
  kGrpcResourceExhausted = 8,
  kGrpcFailedPrecondition = 9,
  kGrpcAborted = 10,
  kGrpcOutOfRange = 11,
  kGrpcUnimplemented = 12,
  kGrpcInternal = 13,
  kGrpcUnavailable = 14,
  kGrpcDataLoss = 15,
  kGrpcUnauthenticated = 16,
};

struct GrpcStatus {
  int code = kGrpcOk;
  std::string message;
  bool ok() const { return code == kGrpcOk; }
};

// The code that an HTTP status of a response without grpc-status stands for.
int GrpcCodeOfHttpStatus(int status);

struct GrpcCallOptions {
  std::string method;     // "/package.Service/Method"
  std::string authority;  // empty: the cluster's name
  // Lower-case names; `-bin` values already in base64.
  std::vector<std::pair<std::string, std::string>> metadata;
  int64_t timeout_ms = 0;  // 0: none; sent as grpc-timeout and kept here
  // A longer message from the peer ends the call with kGrpcResourceExhausted. 0: no limit.
  uint64_t max_message_bytes = 0;
};

class GrpcStreamEvents {
 public:
  virtual void OnGrpcInitialMetadata(const Headers& /*headers*/) {}
  // One message, without its prefix.
  virtual void OnGrpcMessage(Body& message) = 0;
  // Room for more after Send() answered false.
  virtual void OnGrpcSendDrained() {}
  // The last call. `trailers` is null when the peer sent none.
  virtual void OnGrpcClosed(const GrpcStatus& status, const Headers* trailers) = 0;

 protected:
  ~GrpcStreamEvents() = default;
};

// A call with any number of messages each way.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  // Sends one message; before the stream stands they are kept. False: enough for now, wait for
  // OnGrpcSendDrained() (the message was taken all the same).
  virtual bool Send(absl::string_view message) = 0;
  // No more messages from here.
  virtual void CloseSend() = 0;
  // Stops and goes on taking messages from the peer (back-pressure reaches it).
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
};

// Never null: a cluster that is missing or has no healthy host gives
// OnGrpcClosed(kGrpcUnavailable).
std::unique_ptr<GrpcStream> OpenGrpcStream(WorkerView& view, absl::string_view cluster,
                                           const GrpcCallOptions& options,
                                           GrpcStreamEvents* events);

// One message each way.
class GrpcUnaryCall {
 public:
  virtual ~GrpcUnaryCall() = default;
};
// `response` is empty unless the status is OK. Called once, from a later turn.
using GrpcUnaryDone = std::function<void(const GrpcStatus& status, Body& response)>;
std::unique_ptr<GrpcUnaryCall> StartGrpcCall(WorkerView& view, absl::string_view cluster,
                                             const GrpcCallOptions& options,
                                             absl::string_view request, GrpcUnaryDone done);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_GRPC_CLIENT_H_

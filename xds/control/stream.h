// One discovery stream: a gRPC call of any of the discovery methods, from its
// arrival to its end. It moves messages between the call and a `Session` and
// lets nothing out before the node has shown who it is.
//
// Lives on the server's loop: every method and every completion runs there.
#ifndef REMORA_XDS_CONTROL_STREAM_H_
#define REMORA_XDS_CONTROL_STREAM_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "xds/control/resources.h"
#include "xds/control/session.h"
#include "xds/control/wire.h"

namespace remora::control {

class Server;

// What a completion queue's tags point at.
using Completion = std::function<void(bool ok)>;

class Stream {
 public:
  // Waits for the next call of any method. `server` outlives the stream.
  Stream(Server* server, grpc::AsyncGenericService* service, grpc::ServerCompletionQueue* queue);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The node, once it has been let in.
  const std::optional<NodeId>& node() const { return node_; }

  void SetResources(std::shared_ptr<const NodeResources> resources);
  // Writes what is due, and ends a stream that has not said who it is in time.
  void Advance(absl::Time now);
  // When Advance has to be called again at the latest.
  absl::Time NextCheck() const;
  // Ends the stream with this status once nothing is being written.
  void End(const grpc::Status& status);

 private:
  void OnCall(bool ok);
  void OnRead(bool ok);
  void OnMessage(absl::Time now);
  void OnWrite(bool ok);
  void OnFinished();
  // The node's first message. Not OK: who it is has not been shown.
  grpc::Status LetIn(const ParsedAsk& parsed, absl::Time now);
  std::string Token() const;
  bool ByUnixSocket() const;
  void StartRead();
  void Finish();
  // Tells the server that the stream may be destroyed, if it may.
  void LeaveIfOver();

  Server* server_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter call_;
  grpc::ByteBuffer incoming_;
  Completion on_call_, on_read_, on_write_, on_finish_, on_done_;

  std::optional<Method> method_;
  std::optional<Session> session_;
  std::optional<NodeId> node_;
  absl::Time hello_until_ = absl::InfiniteFuture();
  std::optional<grpc::Status> ending_;  // set once
  bool started_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool finishing_ = false;  // Finish was called
  bool finished_ = false;   // and has completed
  bool done_ = false;       // the call is over for gRPC
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_STREAM_H_

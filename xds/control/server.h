// The discovery service: ADS and the separate services, state of the world
// and delta, over TLS (with join tokens) and Unix sockets, with grpc++.
//
// One loop, in the thread that calls Run, owns the cache and all streams. What
// other threads bring (new services from a source, the wish to stop) is posted
// to it; nothing else is shared.
#ifndef REMORA_XDS_CONTROL_SERVER_H_
#define REMORA_XDS_CONTROL_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "xds/control/ca.h"
#include "xds/control/cache.h"
#include "xds/control/services.h"
#include "xds/control/state_dir.h"
#include "xds/control/stream.h"
#include "xds/control/tokens.h"

namespace remora::control {

struct ServerOptions {
  // "HOST:PORT" (0 takes a free one) with TLS, or "unix:PATH".
  std::vector<std::string> listen;
  absl::Duration certificate_ttl = absl::Hours(1);
};

class Server {
 public:
  // Listens and answers from now on; nothing moves before Run. `ca` outlives
  // the server.
  static absl::StatusOr<std::unique_ptr<Server>> Listen(const ServerOptions& options,
                                                        const StateDir& state,
                                                        const CertificateAuthority* ca);
  ~Server();

  // Where it listens, with the ports that were taken.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Serves until Stop, from the first Publish on. Once.
  void Run();

  // From any thread; after Run has returned they do nothing.
  void Publish(Services services);
  void Stop();

  // For streams, on the loop.
  void Accept();
  void Leave(Stream* stream);
  bool KnowsToken(absl::string_view name, absl::string_view token) const;
  std::shared_ptr<const NodeResources> ResourcesOf(const NodeId& node, absl::Time now);
  void WakeAt(absl::Time when);

 private:
  struct Letter;

  Server(const ServerOptions& options, const StateDir& state, const CertificateAuthority* ca);

  absl::Status Open(const std::vector<std::string>& listen);
  // The server's own certificate, in files that gRPC watches.
  absl::Status RenewOwnCertificate(absl::Time now);
  void Post(std::function<void()> task);
  void OpenNext();
  void CloseDown();
  void Tick(absl::Time now);
  void TellAll(absl::Time now);

  const StateDir state_;
  const CertificateAuthority* ca_;
  const Tokens tokens_;
  Cache cache_;
  std::vector<std::string> addresses_;

  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> leaving_;
  std::thread closer_;
  absl::Time wake_at_ = absl::InfiniteFuture();
  absl::Time renew_own_at_ = absl::InfiniteFuture();
  // No stream is taken before the first services are known: a node that comes
  // back after a restart of ours must not hear that the world is empty.
  bool accepting_ = false;
  bool stopping_ = false;

  Completion open_next_ = [this](bool) { OpenNext(); };
  std::mutex door_;  // of what follows; held only while something is posted or taken in
  std::deque<std::unique_ptr<Letter>> posted_;
  bool closed_ = false;
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_SERVER_H_

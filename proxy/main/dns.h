#ifndef REMORA_PROXY_MAIN_DNS_H_
#define REMORA_PROXY_MAIN_DNS_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "proxy/base/loop.h"
#include "proxy/base/timer.h"

struct ares_channeldata;
struct ares_addrinfo;

namespace remora::proxy {

// What a look-up came to. An empty list with an OK status is a name without addresses.
struct DnsAnswer {
  absl::Status status;
  std::vector<Address> addresses;  // port 0, in the resolver's order
  std::chrono::seconds ttl{0};     // the least of all records
};

// A look-up under way. Destroying it cancels: its callback does not come.
class DnsQuery {
 public:
  virtual ~DnsQuery() = default;
};

// Resolves names by c-ares on the main loop: no thread, no blocking call.
//
// Threads: the loop's. Lifetime: must outlive its queries.
class DnsResolver {
 public:
  enum class Family { kAuto, kV4Only, kV6Only, kV4Preferred, kAll };
  using Callback = std::function<void(DnsAnswer)>;

  // `servers`: "ip:port" each; empty for the system's.
  static absl::StatusOr<std::unique_ptr<DnsResolver>> Create(
      Loop* loop, const std::vector<std::string>& servers, bool use_tcp);
  ~DnsResolver();

  // The callback comes in a later turn, once. IP literals answer without a question.
  // kAuto asks for IPv6 and falls back to IPv4; kV4Preferred the other way round; kAll takes both.
  std::unique_ptr<DnsQuery> Resolve(absl::string_view name, Family family, Callback callback);

 private:
  class Query;
  struct Socket;

  explicit DnsResolver(Loop* loop);
  void Start(Query* query, int family);
  static void OnSocketState(void* self, int socket, int readable, int writable);
  static void OnAnswer(void* query, int status, int timeouts, ares_addrinfo* result);
  void OnTimer();
  void ArmTimer();

  Loop* loop_;
  ares_channeldata* channel_ = nullptr;
  Timer timer_;
  absl::flat_hash_map<int, Socket*> sockets_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_DNS_H_

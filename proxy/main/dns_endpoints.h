#ifndef REMORA_PROXY_MAIN_DNS_ENDPOINTS_H_
#define REMORA_PROXY_MAIN_DNS_ENDPOINTS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lb/host.h"
#include "lb/random_source.h"
#include "proxy/base/loop.h"
#include "proxy/base/timer.h"
#include "proxy/main/dns.h"
#include "xds/cluster.h"
#include "xds/endpoint.h"

namespace remora::proxy {

// Keeps the names of a STRICT_DNS or LOGICAL_DNS cluster resolved. The last addresses that were
// found stay when a later look-up fails; a failing name is asked again with back-off.
//
// Threads: main. Lifetime: owned by its cluster.
class DnsEndpoints {
 public:
  struct Hooks {
    std::function<void()> on_change;         // addresses changed, or the first round is complete
    std::function<void(bool ok)> on_answer;  // for update_success and update_failure
    std::function<void()> on_attempt;
  };

  DnsEndpoints(Loop* loop, DnsResolver* resolver, std::shared_ptr<const xds::Cluster> config,
               uint64_t seed, Hooks hooks);
  ~DnsEndpoints();

  // Every name was answered (or failed) once.
  bool resolved_once() const;
  // Addresses of one endpoint as they are known now.
  std::vector<lb::SocketAddress> AddressesOf(const xds::Endpoint& endpoint) const;

 private:
  struct Name;
  void Ask(Name& name);
  void OnAnswer(Name& name, DnsAnswer answer);
  int64_t NextDelay(Name& name, const DnsAnswer& answer);

  Loop* loop_;
  DnsResolver* resolver_;
  std::shared_ptr<const xds::Cluster> config_;
  lb::RandomSource random_;
  Hooks hooks_;
  std::map<std::string, std::unique_ptr<Name>> names_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_DNS_ENDPOINTS_H_

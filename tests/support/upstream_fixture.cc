#include "tests/support/upstream_fixture.h"

#include <uv.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lb/host_set.h"
#include "proxy/net/transport.h"

namespace remora::testing {

using proxy::Cluster;
using proxy::WorkerView;

std::unique_ptr<proxy::Connection> MemoryDialer::Dial(proxy::Loop& loop,
                                                      const proxy::DialTarget& target,
                                                      std::string* reason) {
  if (!broken.empty()) {
    *reason = broken;
    return nullptr;
  }
  auto far = std::make_shared<FarEnd>();
  auto stream = std::make_unique<MemoryStream>(&loop, far, /*connecting=*/true);
  dialled.push_back({target.host.address_string(), std::string(target.sni), far});
  if (accept_at_once) far->Accept();
  return std::make_unique<proxy::Connection>(&loop, std::move(stream), proxy::MakeRawTransport(),
                                             target.cluster.config->per_connection_buffer_limit);
}

UpstreamFixture::UpstreamFixture() {
  WorkerView::Mail mail;
  mail.retired = [this](WorkerView::Mail::Retired value) { retired.push_back(std::move(value)); };
  mail.suspect = [this](const std::string& cluster, std::shared_ptr<lb::Host> host,
                        health::Suspicion) {
    suspects.emplace_back(cluster, host->address_string());
  };
  mail.immediate_fail = [this](const std::string&, std::shared_ptr<lb::Host> host) {
    immediate_fails.push_back(host->address_string());
  };
  view = std::make_unique<WorkerView>(&loop, stats.AddSlab(), 1, std::move(mail));
  view->set_dialer(&dialer);
}

UpstreamFixture::~UpstreamFixture() {
  Turn();
  view.reset();
}

void UpstreamFixture::AddCluster(const std::string& name, size_t hosts, const Edit& edit) {
  auto config = std::make_shared<xds::Cluster>();
  config->name = name;
  if (edit) edit(*config);
  const auto before = clusters_.find(name);
  proxy::ClusterInput input;
  if (before != clusters_.end()) input.previous = before->second;
  lb::HostTable::Builder builder{lb::HostTable::Options()};
  for (size_t i = 1; i <= hosts; ++i) {
    const std::string ip = absl::StrCat("10.0.0.", i);
    std::shared_ptr<lb::Host> host;
    if (input.previous != nullptr) {
      for (const auto& entry : input.previous->policy->hosts().table()->entries()) {
        if (entry.host->address_string() == ip + ":80") host = entry.host;
      }
    }
    if (host == nullptr) host = std::make_shared<lb::Host>(*lb::SocketAddress::Ip(ip, 80));
    builder.Add(std::move(host), 1, 0, lb::Locality());
  }
  input.config = std::move(config);
  input.hosts = lb::HostSet::Make(builder.Build());
  clusters_[name] = *proxy::BuildCluster(std::move(input), stats);
}

void UpstreamFixture::RemoveCluster(const std::string& name) { clusters_.erase(name); }

void UpstreamFixture::Install() {
  view->Install(std::make_shared<const proxy::ClusterMap>(clusters_),
                std::make_shared<const proxy::RouteMap>(routes));
}

void UpstreamFixture::Turn(int times) {
  for (int i = 0; i < times; ++i) loop.RunOnce(/*wait=*/false);
}

bool UpstreamFixture::RunUntil(const std::function<bool()>& done, int limit_ms) {
  const absl::Time end = absl::Now() + absl::Milliseconds(limit_ms);
  while (!done()) {
    if (absl::Now() > end) return false;
    loop.RunOnce(/*wait=*/false);
    absl::SleepFor(absl::Microseconds(200));
  }
  return true;
}

}  // namespace remora::testing

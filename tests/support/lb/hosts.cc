#include "tests/support/lb/hosts.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace remora::lb::testing {

std::shared_ptr<Host> HostPool::Get(const std::string& ip, uint16_t port) {
  std::shared_ptr<Host>& host = hosts_[absl::StrCat(ip, ":", port)];
  if (host == nullptr) host = std::make_shared<Host>(*SocketAddress::Ip(ip, port));
  return host;
}

std::shared_ptr<const HostSet> MakeHosts(HostPool& pool, const std::vector<TestHost>& hosts,
                                         HostTable::Options options,
                                         const std::map<std::string, uint32_t>& zone_weights) {
  HostTable::Builder builder(std::move(options));
  for (const TestHost& test_host : hosts) {
    const Locality locality{"", test_host.zone, ""};
    const auto weight = zone_weights.find(test_host.zone);
    if (weight != zone_weights.end()) {
      builder.SetLocalityWeight(test_host.priority, locality, weight->second);
    }
    std::shared_ptr<Host> host = pool.Get(test_host.ip);
    host->state().flags.store(test_host.flags);
    builder.Add(std::move(host), test_host.weight, test_host.priority, locality);
  }
  return HostSet::Make(builder.Build());
}

std::vector<TestHost> Even(uint32_t count) {
  std::vector<TestHost> hosts;
  for (uint32_t i = 0; i < count; ++i) {
    hosts.push_back({absl::StrCat("10.", i >> 16, ".", i >> 8 & 255, ".", i & 255)});
  }
  return hosts;
}

std::string IpOf(const Choice& choice) {
  if (!choice) return "none";
  const std::string& address = choice.host->address_string();
  return address.substr(0, address.rfind(':'));
}

std::vector<std::string> Sequence(Picker& picker, int picks, uint64_t seed) {
  RandomSource random(seed);
  std::vector<std::string> ips;
  for (int i = 0; i < picks; ++i) {
    PickContext ctx(random, TimePoint(0));
    ips.push_back(IpOf(picker.Pick(ctx)));
  }
  return ips;
}

std::map<std::string, int> Count(Picker& picker, int picks, uint64_t seed) {
  std::map<std::string, int> counts;
  for (const std::string& ip : Sequence(picker, picks, seed)) ++counts[ip];
  return counts;
}

double ChiSquare(const std::vector<double>& observed, const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < observed.size(); ++i) {
    sum += std::pow(observed[i] - expected[i], 2) / expected[i];
  }
  return sum;
}

double ChiSquareLimit(size_t degrees_of_freedom) {
  constexpr double kNormal999 = 3.0902;
  const double k = static_cast<double>(degrees_of_freedom);
  return k * std::pow(1 - 2 / (9 * k) + kNormal999 * std::sqrt(2 / (9 * k)), 3);
}

}  // namespace remora::lb::testing

// Host sets for tests, written as a list of endpoints.

#ifndef REMORA_TESTS_SUPPORT_LB_HOSTS_H_
#define REMORA_TESTS_SUPPORT_LB_HOSTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lb/host.h"
#include "lb/host_set.h"
#include "lb/policy.h"

namespace remora::lb::testing {

struct TestHost {
  std::string ip;
  uint32_t weight = 1;
  uint32_t flags = 0;
  uint32_t priority = 0;
  std::string zone = "";
};

// Hosts by ip and port; the same object for the same address, as a cluster keeps them.
class HostPool {
 public:
  std::shared_ptr<Host> Get(const std::string& ip, uint16_t port = 80);

 private:
  std::map<std::string, std::shared_ptr<Host>> hosts_;
};

// Sets the flags of each host to those given.
std::shared_ptr<const HostSet> MakeHosts(HostPool& pool, const std::vector<TestHost>& hosts,
                                         HostTable::Options options = {},
                                         const std::map<std::string, uint32_t>& zone_weights = {});
// `count` healthy hosts 10.x.y.z of weight 1.
std::vector<TestHost> Even(uint32_t count);

// Picks `picks` times; how often each ip (without port) came.
std::map<std::string, int> Count(Picker& picker, int picks, uint64_t seed = 1);
// The same as a sequence of ips.
std::vector<std::string> Sequence(Picker& picker, int picks, uint64_t seed = 1);
std::string IpOf(const Choice& choice);

// Pearson's statistic of observed counts against expected ones, and the value it stays below with
// probability 0.999 (Wilson and Hilferty's approximation).
double ChiSquare(const std::vector<double>& observed, const std::vector<double>& expected);
double ChiSquareLimit(size_t degrees_of_freedom);

}  // namespace remora::lb::testing

#endif  // REMORA_TESTS_SUPPORT_LB_HOSTS_H_

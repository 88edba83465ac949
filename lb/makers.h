// The policies' makers, for the table in policies.cc. Their configuration is
// valid (MakePolicy checks it) and holds the policy's own alternative.

#ifndef REMORA_LB_MAKERS_H_
#define REMORA_LB_MAKERS_H_

#include <memory>

#include "lb/policy.h"

namespace remora::lb {

std::shared_ptr<const Policy> MakeRoundRobin(const PolicyConfig& config,
                                             std::shared_ptr<const HostSet> hosts,
                                             std::shared_ptr<const HostSet> local_hosts);
std::shared_ptr<const Policy> MakeLeastRequest(const PolicyConfig& config,
                                               std::shared_ptr<const HostSet> hosts,
                                               std::shared_ptr<const HostSet> local_hosts);
std::shared_ptr<const Policy> MakeRandom(const PolicyConfig& config,
                                         std::shared_ptr<const HostSet> hosts,
                                         std::shared_ptr<const HostSet> local_hosts);
std::shared_ptr<const Policy> MakeRingHash(const PolicyConfig& config,
                                           std::shared_ptr<const HostSet> hosts,
                                           std::shared_ptr<const HostSet> local_hosts);
std::shared_ptr<const Policy> MakeMaglev(const PolicyConfig& config,
                                         std::shared_ptr<const HostSet> hosts,
                                         std::shared_ptr<const HostSet> local_hosts);
// Of a configuration with `subset`, whatever its algorithm.
std::shared_ptr<const Policy> MakeSubset(const PolicyConfig& config,
                                         std::shared_ptr<const HostSet> hosts,
                                         std::shared_ptr<const HostSet> local_hosts);

}  // namespace remora::lb

#endif  // REMORA_LB_MAKERS_H_

#ifndef REMORA_PROXY_STREAM_APPLY_MUTATIONS_H_
#define REMORA_PROXY_STREAM_APPLY_MUTATIONS_H_

#include <vector>

#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "xds/header_mutation.h"
#include "xds/route.h"

namespace remora::proxy {

// Removals, then additions of one level. Values that are templates are worked out from `info`
// before anything is changed.
void ApplyAdditions(const std::vector<xds::HeaderAddition>& additions, const StreamInfo& info,
                    Headers& headers);
void ApplyMutations(const xds::HeaderMutations& mutations, const StreamInfo& info,
                    Headers& headers);

// The levels of one exchange. Null levels are left out.
struct MutationLevels {
  const xds::RouteTable* table = nullptr;
  const xds::VirtualHost* virtual_host = nullptr;
  const xds::Route* route = nullptr;
  const xds::WeightedCluster* weighted = nullptr;
};

// The weighted cluster's entry, then route, virtual host and table, or the other way round when
// most_specific_header_mutations_wins.
void ApplyRequestMutations(const MutationLevels& levels, const StreamInfo& info, Headers& headers);
void ApplyResponseMutations(const MutationLevels& levels, const StreamInfo& info, Headers& headers);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_APPLY_MUTATIONS_H_

#include "proxy/stream/apply_mutations.h"

#include "absl/strings/string_view.h"
#include "filters/formatter.h"

namespace remora::proxy {
namespace {

bool Exists(const Headers& headers, const std::string& name) {
  return headers.Get(absl::string_view(name)).has_value();
}

bool IsWanted(const xds::HeaderAddition& addition, absl::string_view value,
              const Headers& headers) {
  if (value.empty() && !addition.keep_empty) return false;
  switch (addition.action) {
    case xds::AppendAction::kAddIfAbsent:
      return !Exists(headers, addition.name);
    case xds::AppendAction::kOverwriteIfExists:
      return Exists(headers, addition.name);
    case xds::AppendAction::kAppendOrAdd:
    case xds::AppendAction::kOverwriteOrAdd:
      break;
  }
  return true;
}

bool Overwrites(xds::AppendAction action) {
  return action == xds::AppendAction::kOverwriteIfExists ||
         action == xds::AppendAction::kOverwriteOrAdd;
}

template <xds::HeaderMutations xds::Route::* kOfRoute,
          xds::HeaderMutations xds::VirtualHost::* kOfHost,
          xds::HeaderMutations xds::WeightedCluster::* kOfCluster,
          const xds::HeaderMutations& (xds::RouteTable::*kOfTable)() const>
void ApplyLevels(const MutationLevels& levels, const StreamInfo& info, Headers& headers) {
  if (levels.weighted != nullptr) ApplyMutations(levels.weighted->*kOfCluster, info, headers);
  const bool reversed =
      levels.table != nullptr && levels.table->most_specific_header_mutations_wins();
  if (reversed) {
    ApplyMutations((levels.table->*kOfTable)(), info, headers);
    if (levels.virtual_host != nullptr) {
      ApplyMutations(levels.virtual_host->*kOfHost, info, headers);
    }
    if (levels.route != nullptr) ApplyMutations(levels.route->*kOfRoute, info, headers);
    return;
  }
  if (levels.route != nullptr) ApplyMutations(levels.route->*kOfRoute, info, headers);
  if (levels.virtual_host != nullptr) ApplyMutations(levels.virtual_host->*kOfHost, info, headers);
  if (levels.table != nullptr) ApplyMutations((levels.table->*kOfTable)(), info, headers);
}

}  // namespace

void ApplyAdditions(const std::vector<xds::HeaderAddition>& additions, const StreamInfo& info,
                    Headers& headers) {
  if (additions.empty()) return;
  Arena& arena = headers.arena();
  auto* values = arena.NewArray<absl::string_view>(additions.size());
  auto* wanted = arena.NewArray<bool>(additions.size());
  for (size_t i = 0; i < additions.size(); ++i) {
    const xds::HeaderAddition& addition = additions[i];
    values[i] = addition.formatter == nullptr ? absl::string_view(addition.text)
                                              : addition.formatter->Format(info, arena);
    wanted[i] = IsWanted(addition, values[i], headers);
  }
  // Names and literal values are copied: the headers may outlive this configuration's pin.
  for (size_t i = 0; i < additions.size(); ++i) {
    if (wanted[i] && Overwrites(additions[i].action)) headers.Set(additions[i].name, values[i]);
  }
  for (size_t i = 0; i < additions.size(); ++i) {
    if (wanted[i] && !Overwrites(additions[i].action)) headers.Add(additions[i].name, values[i]);
  }
}

void ApplyMutations(const xds::HeaderMutations& mutations, const StreamInfo& info,
                    Headers& headers) {
  for (const std::string& name : mutations.remove) headers.Remove(absl::string_view(name));
  ApplyAdditions(mutations.add, info, headers);
}

void ApplyRequestMutations(const MutationLevels& levels, const StreamInfo& info, Headers& headers) {
  ApplyLevels<&xds::Route::request_headers, &xds::VirtualHost::request_headers,
              &xds::WeightedCluster::request_headers, &xds::RouteTable::request_headers>(
      levels, info, headers);
}

void ApplyResponseMutations(const MutationLevels& levels, const StreamInfo& info,
                            Headers& headers) {
  ApplyLevels<&xds::Route::response_headers, &xds::VirtualHost::response_headers,
              &xds::WeightedCluster::response_headers, &xds::RouteTable::response_headers>(
      levels, info, headers);
}

}  // namespace remora::proxy

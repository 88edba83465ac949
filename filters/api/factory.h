#ifndef REMORA_FILTERS_API_FACTORY_H_
#define REMORA_FILTERS_API_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/filter.h"

namespace remora {

// How a filter comes to be, in two steps: its typed configuration becomes a const factory on main,
// the factory makes one filter a stream on the workers. One row of filters/registry.cc each.
struct HttpFilterType {
  // "envoy.extensions.filters.http.cors.v3.Cors", without "type.googleapis.com/".
  absl::string_view type_name;
  // `config` is the serialized message of that type. Errors say what is wrong with it.
  absl::StatusOr<std::shared_ptr<const FilterFactory>> (*make)(absl::string_view config);

  // The message of typed_per_filter_config; empty when the filter reads none. It may be the same
  // type as above.
  absl::string_view route_type_name;
  // The object that FilterContext::route_config() gives; the filter knows its type.
  absl::StatusOr<std::shared_ptr<const void>> (*parse_route)(absl::string_view config);
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_FACTORY_H_

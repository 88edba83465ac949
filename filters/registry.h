#ifndef REMORA_FILTERS_REGISTRY_H_
#define REMORA_FILTERS_REGISTRY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/api/factory.h"

namespace remora {

// Every HTTP filter that Remora has, by the type of its configuration; never by its name. The
// router is not among them: the stream itself ends in it.
absl::Span<const HttpFilterType> HttpFilterTypes();

// With or without "type.googleapis.com/". Null when there is none.
const HttpFilterType* FindHttpFilter(absl::string_view type_url);
// By the type of a per-route configuration.
const HttpFilterType* FindHttpFilterByRouteType(absl::string_view type_url);

// Unknown types are refused by name: "Didn't find a registered implementation for '<name>' with
// type URL: '<type>'".
absl::StatusOr<std::shared_ptr<const FilterFactory>> MakeHttpFilter(absl::string_view name,
                                                                    absl::string_view type_url,
                                                                    absl::string_view config);
absl::StatusOr<std::shared_ptr<const void>> ParseRouteFilterConfig(absl::string_view name,
                                                                   absl::string_view type_url,
                                                                   absl::string_view config);

}  // namespace remora

#endif  // REMORA_FILTERS_REGISTRY_H_

#ifndef REMORA_FILTERS_TYPED_CONFIG_H_
#define REMORA_FILTERS_TYPED_CONFIG_H_

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace remora {

// The message of a serialized typed configuration. For filters' own files, which alone know the
// type.
template <typename Proto>
absl::StatusOr<Proto> DecodeConfig(absl::string_view config) {
  Proto proto;
  if (!proto.ParseFromArray(config.data(), static_cast<int>(config.size()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("Unable to parse ", Proto::descriptor()->full_name()));
  }
  return proto;
}

inline absl::Status NotSupported(absl::string_view filter, absl::string_view field) {
  return absl::UnimplementedError(absl::StrCat(filter, ": ", field, " is not supported"));
}

}  // namespace remora

#endif  // REMORA_FILTERS_TYPED_CONFIG_H_

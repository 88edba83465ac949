#ifndef REMORA_FILTERS_DATA_SOURCE_H_
#define REMORA_FILTERS_DATA_SOURCE_H_

#include <string>

#include "absl/status/statusor.h"

namespace envoy::config::core::v3 {
class DataSource;
}

namespace remora {

// What a DataSource holds or names: inline text, a file (read now, on main), a variable of the
// environment. Unset is "".
absl::StatusOr<std::string> ReadDataSource(const envoy::config::core::v3::DataSource& source);

}  // namespace remora

#endif  // REMORA_FILTERS_DATA_SOURCE_H_

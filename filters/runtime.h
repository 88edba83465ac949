#ifndef REMORA_FILTERS_RUNTIME_H_
#define REMORA_FILTERS_RUNTIME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace envoy::config::core::v3 {
class RuntimeFractionalPercent;
}
namespace envoy::type::v3 {
class FractionalPercent;
}
namespace google::protobuf {
class Struct;
}

namespace remora {

// numerator out of denominator (100, 10,000 or 1,000,000).
struct FractionalPercent {
  uint32_t numerator = 0;
  uint32_t denominator = 100;

  static FractionalPercent From(const envoy::type::v3::FractionalPercent& proto);
  // Whether an event with this random number is in: random % denominator < numerator, as Envoy.
  bool Includes(uint64_t random) const { return random % denominator < numerator; }
  double AsShare() const { return static_cast<double>(numerator) / denominator; }
};

// The runtime layers of a process as one const table of key to value: later layers win, nested
// keys are joined by dots. A new object is made when a layer changes.
//
// Threads: const after Build, shared freely. Lookup does not allocate.
class Runtime {
 public:
  struct Value {
    std::string text;  // as /runtime prints it
    std::optional<uint64_t> integer;
    std::optional<double> number;
    std::optional<bool> boolean;
    std::optional<FractionalPercent> fraction;
  };
  struct Layer {
    std::string name;
    absl::flat_hash_map<std::string, Value> values;
  };

  Runtime() = default;
  // The layers in order; the last one that holds a key wins.
  explicit Runtime(std::vector<Layer> layers);

  // The layer a Struct stands for. A value with numerator and denominator is a fraction.
  static Layer LayerFrom(absl::string_view name, const google::protobuf::Struct& values);

  const Value* Find(absl::string_view key) const;
  uint64_t Integer(absl::string_view key, uint64_t otherwise) const;
  double Number(absl::string_view key, double otherwise) const;
  bool Boolean(absl::string_view key, bool otherwise) const;
  // A plain integer value stands for that many percent.
  FractionalPercent Fraction(absl::string_view key, FractionalPercent otherwise) const;

  const std::vector<Layer>& layers() const { return layers_; }
  size_t size() const { return merged_.size(); }

 private:
  std::vector<Layer> layers_;
  absl::flat_hash_map<std::string, const Value*> merged_;
};

// RuntimeFractionalPercent: a default that a runtime key may replace.
struct RuntimeFraction {
  FractionalPercent otherwise;
  std::string key;  // empty: no key

  static RuntimeFraction From(const envoy::config::core::v3::RuntimeFractionalPercent& proto);
  // `runtime` may be null.
  FractionalPercent Get(const Runtime* runtime) const {
    return runtime == nullptr || key.empty() ? otherwise : runtime->Fraction(key, otherwise);
  }
  bool Includes(const Runtime* runtime, uint64_t random) const {
    return Get(runtime).Includes(random);
  }
};

}  // namespace remora

#endif  // REMORA_FILTERS_RUNTIME_H_

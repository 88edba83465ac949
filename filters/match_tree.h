#ifndef REMORA_FILTERS_MATCH_TREE_H_
#define REMORA_FILTERS_MATCH_TREE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/api/address.h"
#include "filters/match_input.h"
#include "filters/matchers.h"

namespace xds::core::v3 {
class TypedExtensionConfig;
}
namespace xds::type::matcher::v3 {
class Matcher;
}

namespace remora {

// The generic matching API (xds.type.matcher.v3.Matcher): lists of predicates and maps of values,
// each leading to an action or to a further matcher. What an action is, is its user's business;
// here it is a number.
//
// A branch that leads to nothing, or whose action is marked keep_matching, is passed over: the
// search goes on behind it, and ends with on_no_match.
//
// Threads: const after Parse, shared.
class MatchTree {
 public:
  // Reads an action; its number.
  using ActionParser =
      std::function<absl::StatusOr<size_t>(const ::xds::core::v3::TypedExtensionConfig& action)>;

  // Fails with what the parser of actions failed with, or naming an input or a matcher that is not
  // known.
  static absl::StatusOr<MatchTree> Parse(const ::xds::type::matcher::v3::Matcher& proto,
                                         const ActionParser& parse_action);

  // The number of the action that was found; nothing when none was.
  std::optional<size_t> Match(const MatchSubject& subject) const;

 private:
  struct Node;
  struct Branch;
  struct Predicate;
  class Parser;

  static std::optional<size_t> Follow(const Branch& branch, const MatchSubject& subject);
  static std::optional<size_t> Search(const Node& node, const MatchSubject& subject);

  explicit MatchTree(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  std::shared_ptr<const Node> root_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_MATCH_TREE_H_

#include "xds/control/tokens.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/control/temp_dir.h"

namespace remora::control {
namespace {

TEST(Tokens, AreGoodForTheirNameAlone) {
  TempDir dir;
  Tokens tokens(*StateDir::Open(dir.path()));
  const std::string web = *tokens.Create("web");
  const std::string api = *tokens.Create("api");
  EXPECT_TRUE(tokens.Verify("web", web));
  EXPECT_TRUE(tokens.Verify("api", api));
  EXPECT_FALSE(tokens.Verify("api", web));
  EXPECT_FALSE(tokens.Verify("web", ""));
  EXPECT_FALSE(tokens.Verify("web", web.substr(1)));
  EXPECT_FALSE(tokens.Verify("nobody", web));
}

TEST(Tokens, SeveralOfANameAreGoodAtOnce) {
  TempDir dir;
  Tokens tokens(*StateDir::Open(dir.path()));
  const std::string one = *tokens.Create("web");
  const std::string two = *tokens.Create("web");
  EXPECT_NE(one, two);
  EXPECT_TRUE(tokens.Verify("web", one));
  EXPECT_TRUE(tokens.Verify("web", two));
}

TEST(Tokens, AreKeptAsHashesForTheirOwnerAlone) {
  TempDir dir;
  StateDir state = *StateDir::Open(dir.path());
  const std::string token = *Tokens(state).Create("web");
  EXPECT_EQ(state.Read(Tokens::FileOf("web"))->find(token.substr(4)), std::string::npos);
  struct stat info;
  ASSERT_EQ(stat((dir / "tokens/web").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  // What is on disk is no token.
  std::string hash = *state.Read(Tokens::FileOf("web"));
  hash.pop_back();
  EXPECT_FALSE(Tokens(state).Verify("web", hash));
}

TEST(Tokens, AreNotMadeForPathsOrNothing) {
  TempDir dir;
  Tokens tokens(*StateDir::Open(dir.path()));
  for (const char* bad : {"", "../ca", "a/b", "A", "-a", "a_b"}) {
    EXPECT_FALSE(tokens.Create(bad).ok()) << bad;
    EXPECT_FALSE(tokens.Verify(bad, "x")) << bad;
  }
}

}  // namespace
}  // namespace remora::control

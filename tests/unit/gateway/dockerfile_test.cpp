#include "docker/gateway/dockerfile.h"

#include <gmock/gmock.h>

#include <chrono>

namespace ebbtide::gateway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Arguments = std::map<std::string, std::string>;

std::vector<std::string> images_of(std::string_view text, const Arguments& arguments = {}) {
  const auto read = read_dockerfile(text, arguments);
  return read ? read->images : std::vector<std::string>{"error: " + read.error().message};
}

std::vector<std::string> stages_of(std::string_view text) {
  const auto read = read_dockerfile(text, {});
  return read ? read->stages : std::vector<std::string>{"error: " + read.error().message};
}

std::string error_of(std::string_view text, const Arguments& arguments = {}) {
  const auto read = read_dockerfile(text, arguments);
  if (read) return "none; images " + testing::PrintToString(read->images);
  return read.error().kind == ErrorKind::kInvalid ? read.error().message : "of another kind";
}

struct Case {
  const char* text;
  const char* why;
};

// What is named is enough: more may be.
void expect_secret_or_refused(std::string_view text, const char* why) {
  const auto read = read_dockerfile(text, {});
  if (read) EXPECT_THAT(read->images, Contains("secret")) << why << "\n" << text;
}

TEST(Dockerfile, TakesTheImageOfEachFrom) {
  EXPECT_THAT(images_of("FROM alpine:3.20\nRUN true\nfrom --platform=linux/amd64 ghcr.io/a/b@sha256:0a AS x\n"),
              ElementsAre("alpine:3.20", "ghcr.io/a/b@sha256:0a"));
  EXPECT_THAT(images_of("FROM a\nFROM a\n"), ElementsAre("a"));
  EXPECT_THAT(images_of("\xEF\xBB\xBF# hello\r\n\r\n  FROM\ta\r\nRUN true"), ElementsAre("a"));
  EXPECT_THAT(images_of("FROM scratch\nCOPY a /\n"), IsEmpty());
}

TEST(Dockerfile, TakesAStagesNameForTheStage) {
  const auto* text =
      "FROM golang:1.22 AS Build\nRUN go build\nFROM build AS test\nRUN go test\nFROM scratch\n"
      "COPY --from=build /a /a\nCOPY --chown=1:1 --from=0 /b /b\nRUN --mount=type=bind,from=test,target=/t true\n";
  EXPECT_THAT(images_of(text), ElementsAre("golang:1.22"));
  EXPECT_THAT(stages_of(text), ElementsAre("build", "test"));
}

TEST(Dockerfile, TakesSourcesThatAreNoEarlierStageForImages) {
  EXPECT_THAT(images_of("FROM a\nCOPY --from=nginx:1 /x /x\n"), ElementsAre("a", "nginx:1"));
  EXPECT_THAT(images_of("FROM a AS x\nCOPY --from=x /x /x\n"), ElementsAre("a", "x")) << "the classic builder's image";
  EXPECT_THAT(images_of("FROM a\nCOPY --from=b /x /x\nFROM c AS b\n"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(images_of("FROM a\nCOPY --from=0 /x /x\n"), ElementsAre("a", "0"));
  EXPECT_THAT(images_of("FROM a\nFROM b\nCOPY --from=18446744073709551615 / /\n"),
              ElementsAre("a", "b", "18446744073709551615"));
  EXPECT_THAT(images_of("FROM a\nFROM b\nRUN --mount=from=0 true\n"), ElementsAre("a", "b", "0"))
      << "BuildKit knows no numbers there";
  EXPECT_THAT(stages_of("FROM a\nCOPY --from=scratch / /\n"), ElementsAre("scratch")) << "an image may have that tag";
}

TEST(Dockerfile, TakesMountsInEveryForm) {
  for (const auto* mount :
       {"type=bind,from=b,target=/x", "from=b", "FROM=b", "type=cache,target=/c,From=b", "target=/x,from=b,rw"}) {
    EXPECT_THAT(images_of(std::string("FROM a\nRUN --mount=") + mount + " true\n"), ElementsAre("a", "b")) << mount;
    EXPECT_THAT(images_of(std::string("FROM a\nRUN --network=none --mount=\"") + mount + "\" true\n"),
                ElementsAre("a", "b"))
        << mount;
  }
  EXPECT_THAT(images_of("FROM a\nRUN --mount=from=b --mount=from=c [\"true\"]\n"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(images_of("FROM a\nRUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=x make\n"),
              ElementsAre("a"));
  EXPECT_THAT(images_of("FROM a\nRUN tool --mount=from=b\n"), ElementsAre("a")) << "not a flag of RUN";
}

TEST(Dockerfile, SubstitutesItsFirstArguments) {
  const struct {
    const char* text;
    const char* image;
  } cases[] = {
      {"ARG TAG=1\nFROM a:$TAG\n", "a:1"},
      {"ARG TAG=\"1.0\"\nFROM a:${TAG}-x\n", "a:1.0-x"},
      {"ARG TAG='1.0'\nFROM \"a:${TAG}\"\n", "a:1.0"},
      {"ARG R=r.io V=2\nARG IMAGE=${R}/a:$V\nFROM $IMAGE\n", "r.io/a:2"},
      {"ARG X=\nFROM a${X:-b}${X-c}${X:+d}${X+e}\n", "abe"},
      {"ARG X=y\nFROM a${X:-b}${X:+d}\n", "ayd"},
      {"ARG X\nFROM a:${X:-b}\n", "a:b"},
      {"ARG X\nARG Y=z\nFROM a:${X:-${Y:-q}}\n", "a:z"},
      {"ARG GIVEN=b\nFROM a:$GIVEN\n", "a:given"},
      {"ARG GIVEN\nFROM a:$GIVEN\n", "a:given"},
      {"ARG X=1\nARG X=2\nFROM a:$X\n", "a:2"},
  };
  for (const auto& [text, image] : cases)
    EXPECT_THAT(images_of(text, {{"GIVEN", "given"}, {"UNDECLARED", "x"}}), ElementsAre(image)) << text;
}

TEST(Dockerfile, IsRefusedWhereAnImagesNameCantBeTold) {
  const Case cases[] = {
      {"FROM a:$TAG\n", "not declared"},
      {"FROM a\nARG TAG=1\nFROM b:$TAG\n", "declared too late"},
      {"ARG TARGETARCH=x\nFROM a:$TARGETARCH\n", "the engine's own"},
      {"ARG SOURCE_DATE_EPOCH=context\nFROM a:$SOURCE_DATE_EPOCH\n", "BuildKit rewrites it"},
      {"ARG X=a\nFROM ${X#b}\n", "a pattern"},
      {"ARG X\nFROM ${X:?no}\n", "an error of the build"},
      {"ARG X\nFROM a${X-b}\n", "unset to one, empty to the other"},
      {"ARG X=a\nARG X\nFROM $X\n", "whether it keeps its value"},
      {"ARG X=a Y=$X\nFROM $Y\n", "whether it sees X"},
      {"ARG X=b\"c\"\nFROM a:$X\n", "half quoted"},
      {"ARG X=b\\c\nFROM a:$X\n", "escaped"},
      {"ARG N=X\nARG X=a\nARG $N=secret\nFROM $X\n", "the classic builder substitutes names"},
      {"ARG X=\nFROM $X\n", "empty"},
      {"ARG X='a b'\nFROM $X\n", "two words"},
      {"FROM a\\b\n", "an escape"},
      {"FROM 'a'\n", "quotes"},
      {"FROM \xEF\xBB\xBFsecret\n", "Go's scanner drops a BOM"},
      {"FROM\n", "nothing"},
      {"FROM a\nCOPY --from=$X / /\n", "a variable"},
      {"FROM a\nRUN --mount=from=${X} true\n", "a variable"},
      {"FROM a\nRUN --mount='\"from=secret\"' true\n", "CSV has quotes of its own"},
  };
  for (const auto& [text, why] : cases) EXPECT_THAT(error_of(text), HasSubstr("the Dockerfile")) << why << "\n" << text;
  EXPECT_THAT(error_of("FROM a:$TARGETARCH\n"), HasSubstr("FROM a:$TARGETARCH: ")) << "tells the line";
  EXPECT_THAT(images_of("ARG X=b\\c\nFROM a\n"), ElementsAre("a")) << "nobody needs it";
}

TEST(Dockerfile, IsReadPastContinuationsAndComments) {
  EXPECT_THAT(images_of("FROM a\nRUN apt-get update \\\n  # FROM comment\n# FROM comment\n\n && true \\  \n && false\n"
                        "FROM \\\n b\n"),
              ElementsAre("a", "b"));
  EXPECT_THAT(images_of("# escape=`\nFROM a\nRUN dir c:\\\nFROM b\n"), ElementsAre("a", "b"));
  EXPECT_THAT(images_of("# escape=`\nFROM a\nRUN x `\n  y\nCOPY `\n --from=b x y\n"), ElementsAre("a", "b"));
}

TEST(Dockerfile, HasHeredocs) {
  const Case cases[] = {
      {"FROM a\nRUN <<EOF\nFROM users\nSELECT 1;\nEOF\nRUN true\n", "SQL"},
      {"FROM a\nRUN psql <<-\"EOF\"\n\tSELECT *\n\tFROM users;\n\tEOF\n", "tabs"},
      {"FROM a\nCOPY <<one <<'two' /x/\nFROM b\none\nFROM c\ntwo\n", "several"},
      {"FROM a\nRUN --mount=type=cache,target=/c cat 3<<E1 <<E2 > /x\nx\nE1\nFROM b\nE2\n", "descriptors"},
      {"FROM a\nRUN cat <<< hello && echo $((1<<4)) $(( 1 << 4 ))\n", "none"},
      {"FROM a\nRUN if [ a \\< b ]; then sed 's/<a>/<b>/' ${X%.*}; fi\n", "none"},
      {"FROM a\nRUN echo don't <<EOF\n", "none: the quote is open"},
      {"FROM a\nRUN [\"sh\", \"-c\", \"cat <<EOF\"]\n", "none: a list"},
  };
  for (const auto& [text, why] : cases) EXPECT_THAT(images_of(text), ElementsAre("a")) << why << "\n" << text;
}

TEST(Dockerfile, IsReadAsEachBuilderReadsIt) {
  const Case cases[] = {
      {"FROM a\nRUN <<RUN\nCOPY --from=secret / /\nRUN\n", "the classic builder has no heredocs"},
      {"FROM a\nRUN <<USER_X\nRUN <<RUN\nUSER_X\nFROM secret\nRUN\n", "all but the first know _"},
      {"FROM a\nRUN <<RUN\nBAD\nRUN\nFROM secret\n", "only BuildKit reads past BAD"},
      {"FROM a\nRUN : << RUN\nBAD\nRUN\nFROM secret\n", "only the newest reads past BAD"},
      {"FROM a\nRUN << RUN\nFROM secret\nRUN\n", "old ones know no space"},
      {"FROM a\nRUN <<RUN \\\n\nFROM x\nRUN\nFROM secret\n", "the continuation comes before the body"},
      {"FROM a\nRUN <\\\n<X\nBAD\nX\nFROM secret\n", "joined before it is looked at"},
      {"FROM a\nRUN <<X<Y\nFROM secret\n", "no heredoc"},
      {"FROM a\nRUN ''<<X\nFROM secret\n", "no heredoc"},
      {"FROM a\nRUN \\<<X\nFROM secret\nRUN\nX\n", "first ones drop the escape"},
      {"FROM a\nRUN $Y<<X\nFROM secret\nRUN\nX\n", "first ones drop the variable"},
      {"FROM a\nRUN <$Y<X\nBAD\nX\nFROM secret\n", "first ones drop the variable"},
      {"FROM a\nRUN ${Y#z} <<X\nFROM secret\nX\n", "an error to old ones, so no heredoc"},
      {"FROM a\nRUN ${Y:- <<X}\nBAD\nX}\nFROM secret\n", "words of what a variable stands for"},
      {"FROM a\nRUN a$Y\xC2\xA0<<X\nBAD\nX\nFROM secret\n", "a space ends the variable"},
      {"FROM a\nRUN \"${Y#'\"'}\" <<X '\"'\"'\"\nBAD\nX\nFROM secret\n", "quotes within a variable"},
      {"FROM a\nRUN ${Y:-a <}${Z}<X\nBAD\nX\nFROM secret\n", "variables give each a half"},
      {"FROM a\nRUN <<E\"O\"F\nBAD\nEOF\nFROM secret\n", "quotes within"},
      {"FROM a\nRUN <<X;\nBAD\nX;\nFROM secret\n", "part of the name"},
      {"FROM a\nRUN <<\"X\xC2\xA0\"\nBAD\nX\xC2\xA0\nFROM secret\n", "no space in quotes"},
      {"FROM a\nRUN <<RUN\xC2\xA0x\nBAD\nRUN\nFROM secret\n", "a space that isn't ASCII"},
      {"FROM a\nRUN <<\v\"X\"\nBAD\nX\nFROM secret\n", "a space that may count"},
      {"FROM a\nONBUILD RUN <<RUN\nBAD\nRUN\nFROM secret\n", "some have heredocs there"},
      {"FROM a\nRUN <<X\nX \nFROM secret\nRUN\nX\nFROM secret\n", "a space is no end"},
      {"FROM a\r\nRUN <<X\r\nBAD\r\nX\r\nFROM secret\r\n", "ends without the carriage return"},
      {"FROM a\nRUN x \\\\\nFROM secret\n", "new ones end there"},
      {"FROM a\nRUN x \\\n  # y\nFROM secret\n", "old ones end there"},
      {"FROM a\nRUN x `\nFROM secret\n# escape=`\n", "too late"},
      {"# escape=`\nFROM a\nRUN x \\\nFROM secret\n", "in time"},
      {"#\n# EsCaPe = `\nFROM a\nRUN x \\\nFROM secret\n", "who knows"},
      {"# escape=`\nFROM a\nRUN x `\nBAD\nRUN y \\\nFROM secret\n", "one reading is of no use"},
      {"FROM a\nRUN x \\\r\r\nFROM secret\n", "one carriage return or two"},
      {"FROM a\nRUN x\rFROM secret\n", "a line, or none"},
      {"FROM a\nFROM\vsecret\n", "a space"},
      {"FROM a\nFROM\fsecret\n", "a space"},
      {"FROM a\n\xC2\xA0\xE3\x80\x80"
       "FROM secret\n",
       "spaces before"},
      {"FROM a\nFROM\xC2\xA0secret\n", "part of the word"},
      {"FROM a\nFROM --platform=x\xA0secret\n", "a space to those that look at bytes"},
      {"FROM a\nFROM -- secret\n", "ends the flags"},
      {"FROM a\nFROM --platform='x y' secret AS z\n", "a flag"},
      {"FROM a\nCOPY --fr\"om=sec\"ret / /\n", "quotes within"},
      {"FROM a\nCOPY --from='secret' / /\n", "quotes"},
      {"FROM a\nCOPY --fr\\om=secret / /\n", "an escape"},
      {"FROM a\nCOPY --link --from=secret / /\n", "a flag before"},
      {"FROM a\nCOPY --from secret / /\n", "a value that follows"},
      {"FROM a\nADD --from=secret / /\n", "as COPY"},
      {"FROM a\nCOPY\t--from=secret\t/ /\n", "tabs"},
      {"FROM a\nCOPY \xA0--from=secret / /\n", "a space to those that look at bytes"},
      {"FROM a\nCOPY \xC2\xA0--from=secret / /\n", "a space to those that look at characters"},
      {"FROM a\nCOPY --chown=x\x85--from=secret / /\n", "a space to those that look at bytes"},
      {"FROM a\nCOPY --from=secret [\"/\", \"/\"]\n", "a list"},
      {"FROM a\nRUN --security x --mount=from=secret y\n", "a value that follows"},
      {"FROM a\nONBUILD COPY --from=secret / /\n", "a trigger"},
      {"FROM a\nONBUILD BAD\nFROM secret\n", "read when it runs"},
      {"FROM a\nONBUILD ONBUILD COPY --from=secret / /\n", "a trigger's trigger"},
      {"FROM a\nONBU\xC4\xB0LD COPY --from=secret / /\n", "Go lowers it to an i"},
      {"FROM a\nRUN <<RUN\nWOR\xE2\x84\xAA"
       "DIR /\nFROM secret\nRUN\n",
       "Go lowers it to a k"},
      {"FROM a a\xC5\xBF x\nFROM secret\n", "Go folds it to an s"},
      {"FROM a AS x y\nFROM secret\n", "no stage"},
  };
  for (const auto& [text, why] : cases) expect_secret_or_refused(text, why);
}

TEST(Dockerfile, IsReadByNoBuilderWithUnknownInstructions) {
  EXPECT_THAT(error_of("FROM a\nSELECT 1\n"), HasSubstr("select"));
  EXPECT_THAT(error_of("RUN true\nFROM a\n"), HasSubstr("FROM"));
  for (const auto* text : {"", "\n# x\n", "ARG A=1\n"}) EXPECT_THAT(error_of(text), HasSubstr("no FROM"));
}

TEST(Dockerfile, NamesAnotherFrontend) {
  for (const auto* text : {"# syntax=docker/dockerfile:1\nFROM a\n", "#Syntax = x\nFROM a\n",
                           "#!/bin/x\n# escape=\\\n# syntax\t=x\nFROM a\n", "\xEF\xBB\xBF#syntax=x\nFROM a\n",
                           "# hello\n# syntax=x\nFROM a\n"}) {
    const auto read = read_dockerfile(text, {});
    ASSERT_TRUE(read) << text;
    EXPECT_TRUE(read->has_frontend) << text;
  }
  for (const auto* text : {"FROM a\n# syntax=x\n", "# the syntax is = good\nFROM a\n", "# x\nFROM a\n"})
    EXPECT_FALSE(read_dockerfile(text, {})->has_frontend) << text;
  EXPECT_FALSE(read_dockerfile("// syntax=x\nFROM a\n", {})) << "no Dockerfile";
  EXPECT_FALSE(read_dockerfile("{\"syntax\":\"x\"}\n", {})) << "no Dockerfile";
}

TEST(Dockerfile, WithoutItsFrontendIsAsLongAndReadByTheEngine) {
  for (const std::string text : {"# syntax=docker/dockerfile:1\nFROM a\n", "#SYNTAX = x\r\n# escape=`\r\nFROM a\r\n",
                                 "\xEF\xBB\xBF# escape=`\n#\tsyntax\t=x\nFROM a\n"}) {
    EXPECT_TRUE(read_dockerfile(text, {})->has_frontend) << text;
    const auto without = without_frontend(text);
    EXPECT_EQ(without.size(), text.size());
    EXPECT_FALSE(read_dockerfile(without, {})->has_frontend) << without;
  }
  for (const std::string text : {"FROM a\n# syntax=x\n", "// syntax=x\nFROM a\n", "", "#"})
    EXPECT_EQ(without_frontend(text), text) << "not of the common form: it stays, and is refused where it counts";
}

TEST(Dockerfile, HasLimits) {
  EXPECT_THAT(error_of("FROM a\n#" + std::string(256 << 10, 'x')), HasSubstr("256 KiB"));
  std::string many;
  for (int i = 0; i < 1001; ++i) many += "FROM a\n";
  EXPECT_THAT(error_of(many), HasSubstr("1000"));
  std::string doubled = "ARG A=aa\n";
  for (int i = 0; i < 64; ++i) doubled += "ARG A=$A$A\n";
  EXPECT_THAT(error_of(doubled + "FROM $A\n"), HasSubstr("can't be told"));
  std::string nested;
  for (int i = 0; i < 40000; ++i) nested += "${A:-";
  EXPECT_THAT(error_of("ARG A=\nFROM " + nested), HasSubstr("only"));
}

TEST(Dockerfile, IsReadInLinearTime) {
  for (const auto* piece :
       {"RUN <<A <<", "\\\n", "$(", "${a", "FROM", "--x ", "# escape= `\n", "<< ", "\xE3\x80\x80", "'"}) {
    std::string text = "FROM a\nRUN ";
    while (text.size() < 100000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    static_cast<void>(read_dockerfile(text, {}));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << piece;
  }
}

}  // namespace
}  // namespace ebbtide::gateway

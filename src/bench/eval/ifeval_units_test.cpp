#include <gtest/gtest.h>

#include "bench/eval/text_units.h"
#include "bench/outputs/language.h"

namespace mica {
namespace {

TEST(TextUnits, Words) {
  EXPECT_EQ(count_words(""), 0);
  EXPECT_EQ(count_words("  ,;  "), 0);
  EXPECT_EQ(count_words("It's a well-known café_2."), 6);
  EXPECT_EQ(count_words("नमस्ते दुनिया"), 2);
}

TEST(TextUnits, CapitalWords) {
  EXPECT_EQ(count_capital_words("I saw NASA's X-RAY, (ESA) and 24 A4 sheets."), 4);
  EXPECT_EQ(count_capital_words("ÉTÉ été Été 24"), 1);
}

TEST(TextUnits, Sentences) {
  struct Case {
    const char* text;
    int64_t sentences;
  };
  const Case cases[] = {
      {"", 0},
      {"No stop", 1},
      {"One. Two! Three? Four…", 4},
      {"Dr. Who met Mrs. Jones at 3.15 today. They left.", 2},
      {"J. R. R. Tolkien wrote it. I read it.", 2},
      {"So did I. It was good.", 2},
      {"He said \"Stop!\" and left. \"Why?\" Nobody knew.", 3},
      {"Really?! Yes...", 2},
      {"1. Take an egg.\n2. Break it.", 2},
      {"It was 2012. Then came 2013.", 2},
      {"all lower. nothing else. the end", 3},
      {"# A heading\n\nAnd a sentence.", 1},
      {"e.g. apples are fruit.", 1},
      {"今日は。元気ですか？はい。", 3},
      {"यह घर है। वह बैठी है।", 2},
      {"**Bold.** Next one.", 2},
  };
  for (const Case& c : cases) EXPECT_EQ(count_sentences(c.text), c.sentences) << c.text;
}

TEST(TextUnits, Pieces) {
  EXPECT_EQ(pieces_of("a--b", "--"), (std::vector<std::string_view>{"a", "b"}));
  EXPECT_EQ(pieces_of("", "--"), (std::vector<std::string_view>{""}));
  EXPECT_EQ(lines_of("a\n\n"), (std::vector<std::string_view>{"a", "", ""}));
  EXPECT_EQ(stripped(" \n a b\u00a0"), "a b");
}

TEST(Language, IsTold) {
  const std::pair<const char*, const char*> texts[] = {
      {"ar", "ذهبت القطة إلى البيت ثم جلست على الكرسي مع أصدقائها في الحديقة."},
      {"bg", "Котката седи на пейката пред къщата и се радва, че е топло."},
      {"bn", "বিড়ালটি বাড়ির সামনে বসে আছে।"},
      {"cs", "Kočka sedí na lavičce před domem a je ráda, že je teplo."},
      {"da", "Katten sidder på bænken foran huset, og den er glad for at det er varmt."},
      {"de", "Die Katze sitzt auf der Bank vor dem Haus und freut sich, dass es warm ist."},
      {"el", "Η γάτα κάθεται στον πάγκο μπροστά από το σπίτι."},
      {"en", "The cat sits on the bench in front of the house and is happy that it is warm."},
      {"es", "El gato está sentado en el banco delante de la casa y se alegra de que haga calor."},
      {"fa", "گربه روی نیمکت جلوی خانه نشسته است و از این که هوا گرم است خوشحال است."},
      {"fi", "Kissa istuu penkillä talon edessä ja se on iloinen, että on lämmin."},
      {"fr", "Le chat est assis sur le banc devant la maison et il est content qu'il fasse chaud."},
      {"gu", "બિલાડી ઘરની સામે બેઠી છે."},
      {"he", "החתול יושב על הספסל לפני הבית."},
      {"hi", "बिल्ली घर के सामने बेंच पर बैठी है और वह खुश है।"},
      {"hu", "A macska a ház előtti padon ül, és örül, hogy meleg van."},
      {"id", "Kucing itu duduk di bangku di depan rumah dan senang karena hari ini hangat."},
      {"it", "Il gatto è seduto sulla panchina davanti alla casa ed è felice che faccia caldo."},
      {"ja", "猫は家の前のベンチに座っている。"},
      {"kn", "ಬೆಕ್ಕು ಮನೆಯ ಮುಂದೆ ಕುಳಿತಿದೆ."},
      {"ko", "고양이가 집 앞 벤치에 앉아 있습니다."},
      {"ml", "പൂച്ച വീടിന്റെ മുന്നിൽ ഇരിക്കുന്നു."},
      {"mr", "मांजर घरासमोर बाकावर बसली आहे आणि ती आनंदी आहे."},
      {"ne", "बिरालो घरको अगाडि बेन्चमा बसेको छ र यो खुसी छ।"},
      {"nl", "De kat zit op de bank voor het huis en is blij dat het warm is."},
      {"no",
       "Katten sitter på benken foran huset, og den er glad for at det blir varmt etter å ha "
       "vært ute."},
      {"pa", "ਬਿੱਲੀ ਘਰ ਦੇ ਸਾਹਮਣੇ ਬੈਠੀ ਹੈ।"},
      {"pl", "Kot siedzi na ławce przed domem i cieszy się, że jest ciepło."},
      {"pt",
       "O gato está sentado no banco em frente da casa e não quer sair, porque é bom para ele."},
      {"ro", "Pisica stă pe banca din fața casei și este fericită că este cald."},
      {"ru", "Кошка сидит на скамейке перед домом и рада, что тепло."},
      {"sv", "Katten sitter på bänken framför huset och är glad att det är varmt."},
      {"sw", "Paka ameketi kwenye benchi mbele ya nyumba na ana furaha kwa sababu ni joto."},
      {"ta", "பூனை வீட்டின் முன் அமர்ந்திருக்கிறது."},
      {"te", "పిల్లి ఇంటి ముందు కూర్చుంది."},
      {"th", "แมวนั่งอยู่บนม้านั่งหน้าบ้าน"},
      {"tr", "Kedi evin önündeki bankta oturuyor ve hava sıcak olduğu için çok mutlu bir kedi."},
      {"uk", "Кішка сидить на лавці перед будинком і радіє, що їй тепло."},
      {"ur", "بلی گھر کے سامنے بینچ پر بیٹھی ہے اور وہ خوش ہے۔"},
      {"vi", "Con mèo ngồi trên ghế trước nhà và rất vui vì trời ấm, nó không muốn đi."},
      {"zh", "猫坐在房子前面的长椅上。"},
  };
  for (const auto& [code, text] : texts) EXPECT_EQ(detect_language(text), code) << text;
  EXPECT_EQ(known_languages().size(), std::size(texts));
}

TEST(Language, IsNotToldFromLittle) {
  for (const char* text : {"", "123 !?", "Oslo Berlin Madrid Paris", "xkcd"})
    EXPECT_FALSE(detect_language(text)) << text;
  EXPECT_TRUE(may_be_language("Oslo Berlin", "de"));
  EXPECT_FALSE(may_be_language("Oslo Berlin", "ru"));
  EXPECT_FALSE(may_be_language("", "en"));
  EXPECT_FALSE(is_known_language("xx"));
  EXPECT_TRUE(is_known_language("kn"));
}

}  // namespace
}  // namespace mica

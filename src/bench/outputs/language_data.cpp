#include "bench/outputs/language_data.h"

namespace mica {
namespace {

constexpr LanguageData kLanguages[] = {
    {"ar", "Arabic",
     "في من على أن إلى التي الذي هذا هذه ما لا مع عن كان كانت أو هو هي قد كل ذلك بعد بين يمكن عند "
     "حيث "
     "إن لم لن ثم كما أنا نحن لقد"},
    {"fa", "Arabic",
     "و در به از که این است را با برای آن یک می تا خود شما من ما هم بر یا اما نیز شود شده های کرد "
     "باید بود هستند دارد اگر"},
    {"ur", "Arabic",
     "ہے میں کے اور کی کا سے کو یہ نے ہیں پر نہیں وہ ایک کہ بھی تھا تو اس کر ہو لیے گیا آپ ہم اپنے "
     "جو تھی ہوں کیا"},
    {"bn", "Bengali", ""},
    {"bg", "Cyrillic",
     "и на да се е за от не са с като че по ще това ли или но си към който които при до ни ви съм "
     "след тя той много във със"},
    {"ru", "Cyrillic",
     "и в не на что я с как это по но он для из от или его а все так при мы вы к о у же за был "
     "была бы они она который чтобы есть"},
    {"uk", "Cyrillic",
     "і в на що не з та як це до є у я за для від але він вона ми ви його й чи або про по бути був "
     "якщо які який також"},
    {"hi", "Devanagari",
     "है में के और का की से को यह हैं नहीं पर एक कि लिए ने भी हो इस था वह तो कर करने या साथ थी थे "
     "अपने हम आप मैं ही जो"},
    {"mr", "Devanagari",
     "आहे आणि मी हे या ते होते नाही आहेत करून तर मला त्या साठी असे हा ही एक आपल्या होता होती आपण "
     "तुम्ही किंवा पण त्यांनी त्याच्या आम्ही केले झाले जे काही मध्ये"},
    {"ne", "Devanagari",
     "छ र हो यो पनि छन् लागि गर्न हुन्छ हामी मेरो भने थियो गर्छ गरेको भएको छैन तपाईं वा तर यस हाम्रो "
     "त्यो सबै धेरै गर्नुहोस् तपाईंको म एक छु हरेक"},
    {"el", "Greek", ""},
    {"gu", "Gujarati", ""},
    {"pa", "Gurmukhi", ""},
    {"zh", "Han", ""},
    {"ko", "Hangul", ""},
    {"he", "Hebrew", ""},
    {"ja", "Hiragana", ""},
    {"kn", "Kannada", ""},
    {"ml", "Malayalam", ""},
    {"ta", "Tamil", ""},
    {"te", "Telugu", ""},
    {"th", "Thai", ""},
    {"cs", "Latin",
     "a se v na je že s z do o to i ve pro jako jsem by jsou si ale nebo po tak jak který která "
     "které není bude může"},
    {"da", "Latin",
     "og i at det er en til på som af for med den de ikke der jeg et har du vi om var fra kan sig "
     "men også vil blive efter"},
    {"de", "Latin",
     "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an "
     "werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum "
     "war haben nur oder aber vor zur bis mehr durch man sein wurde ich wir ihr"},
    {"en", "Latin",
     "the of and to in a is that for it as was with be by on not he i this are or his from at "
     "which but have an had they you were their one all we can her has there been if more when "
     "will would who so no my your our its do how what about into them me she"},
    {"es", "Latin",
     "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le "
     "ha me si sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años "
     "hasta desde está mi nos usted"},
    {"fi", "Latin",
     "ja on ei että oli se hän joka mutta ovat kun niin tai myös kuin voi sen ole minä sitä tämä "
     "olla jos vain nyt hänen sinä ne mitä he me te nämä jotka koska"},
    {"fr", "Latin",
     "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il "
     "sont "
     "la avec son aux être cette ou mais comme nous vous je elle ils leur ses ont été était sans "
     "tout peut deux"},
    {"hu", "Latin",
     "a az és hogy nem is egy van ez meg csak de mint már még vagy el ha ki volt azt lehet minden "
     "én te ő mi ti ők nagyon"},
    {"id", "Latin",
     "yang dan di ini dengan untuk dari dalam tidak itu pada adalah akan juga ke saya oleh anda "
     "atau sebagai bisa kami mereka dapat telah ada karena kita lebih"},
    {"it", "Latin",
     "di e che la il un a è per una in non sono da con si le del dei i come della al ma lo gli più "
     "nel questo anche alla ha se o delle mi ho ci questa essere loro tutti nella molto sua suo "
     "perché tuo mio"},
    {"nl", "Latin",
     "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar door bij ik "
     "je wordt hij nog naar uit kan over heeft zich deze wel geen"},
    {"no", "Latin",
     "og i det er en til på som av for med den de ikke jeg et har du vi om var fra kan seg men "
     "også vil blir etter å mot bare"},
    {"pl", "Latin",
     "w i na z się nie do to jest że o jak po co ale a od przez za tak czy dla ich tylko są lub "
     "oraz "
     "może jego być już który która"},
    {"pt", "Latin",
     "de a que e o do da em um para é com não uma os no se na por mais as dos como mas foi ao ele "
     "das tem à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela "
     "entre era são você seus minha"},
    {"ro", "Latin",
     "de și în a la cu pe nu este o că din un pentru se care mai sunt ce sau fi au fost dar prin "
     "am "
     "lui ca le ai după"},
    {"sv", "Latin",
     "och i att det som en på är av för med till den har de inte om ett jag var men kan sig från "
     "så vi du eller efter också"},
    {"sw", "Latin",
     "na ya wa kwa ni katika za la kuwa cha ili kama hii yake hiyo au watu pia lakini kila wakati "
     "yako wako mimi wewe yetu sana moja mtu huo huu hizi zaidi baada kwenye hadi bila vya"},
    {"tr", "Latin",
     "ve bir bu da de için ile çok olarak daha o ne gibi var olan kadar ama sonra en ben değil her "
     "ya veya sen biz onun şey mi"},
    {"vi", "Latin",
     "và của là có cho không các được trong một với để những người này khi đã tôi bạn về từ cũng "
     "đó "
     "ở như nhiều thể ra phải làm sẽ hoặc đến rất vào"},
};

}  // namespace

std::span<const LanguageData> language_data() {
  return kLanguages;
}

}  // namespace mica

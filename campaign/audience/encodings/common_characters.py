"""The commonest characters of Chinese and Japanese, and a test for common Korean syllables.

Two-byte encodings use the same bytes, so any Korean list can be read as Chinese. Only the frequency of the characters
distinguishes sense from nonsense. The lists contain characters of running text and of names of people and places.
"""

from __future__ import annotations

SIMPLIFIED = (
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多"
    "然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头"
    "经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩"
    "相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部水像眼等体却加电主界门利海受听表德少克"
    "代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父应直字场平报友关放至张认接告入笑内英军候"
    "民岁往何度山觉路带万男边风解叫任金快原吃妈变通师立象数四失满战远格士音轻目条呢王李刘陈杨黄赵吴周徐孙朱胡"
    "郭林罗郑梁谢宋唐韩邓冯曹彭曾肖田董潘袁蔡蒋余杜叶程魏苏吕丁卢姚沈钟姜崔谭陆范汪廖石韦贾夏付邹熊孟秦邱侯江"
    "尹薛阎段雷龙黎史陶贺毛郝顾龚邵覃武钱戴严莫孔伟芳娜敏静丽强磊洋勇艳杰娟涛超秀兰霞刚桂玉萍红辉建志波鑫宇婷"
    "雪慧欣怡梦佳轩浩梓涵诗雨晨博思嘉俊泽京州广深圳津庆汉南沙阳青岛宁莞锡连厦福济昆哈滨春庄合肥昌贵河北湖云川"
    "浙徽陕甘省市区县镇村街号室尼巴亚阿伊卡达纳洛萨索塔诺维鲁基布瓦莱群哥普丹瑟斐坦蒙迪托科瑞俄印"
)
#: Characters that are written differently in Taiwan and Hong Kong; the others are as above.
TRADITIONAL = (
    "這個們來時為說國著後會過對學麼發當沒還樣種開總從無現動頭經長兒愛給間兩親進話與見問點幾實聲車機氣並別書電"
    "門聽員許難寫馬樂東處讓應場報關張認軍歲覺帶萬邊風媽變師數滿戰遠輕條劉陳楊黃趙吳孫羅鄭謝韓鄧馮蕭蔣葉魏蘇呂"
    "盧鍾譚陸範韋賈鄒龍賀顧龔錢戴嚴偉麗強艷傑濤蘭剛紅輝寶慶廣漢陽島寧錫連廈濟濱莊貴雲陝縣鎮號臺灣港澳蓮嶼義淑"
    "芬惠雅雯婷怡君豪瑩琪珮筱宗翰霖冠廷柏宏銘賢榮彥儒竹苗彰投嘉屏宜埔橋鳳岡聖維爾亞倫諾納薩魯達"
)
KANJI = (
    "日一国人年大十二本中長出三時行見月後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千"
    "水半男西電校語土木聞食車何南万毎白天母火右読友左休父雨田藤佐鈴橋渡辺伊村林加吉口松井斎清崎森池阿部石岡野"
    "原島谷近坂遠青福太浦竹内和菊増平岩丸河新武杉安市工菅古久保瀬秋宮沢荒須尾黒服酒望関根永塚倉矢横柴樋熊堀美"
    "優陽愛結翔蓮拓海悠斗真奈彩香恵幸裕雅英明健康輔介郎司誠樹希由里沙織純直智博正隆弘義秀勝俊信夫雄洋次光代枝"
    "江京都府県札幌仙台浜屋神戸広区町丁目"
)

#: Initial consonants, vowels and final consonants of a Hangul syllable, counted as in Unicode: the simple ones.
_INITIALS = frozenset({0, 2, 3, 5, 6, 7, 9, 11, 12, 14, 15, 16, 17, 18})
_VOWELS = frozenset({0, 1, 4, 5, 6, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 20})
_FINALS = frozenset({0, 1, 4, 8, 16, 17, 19, 21})
_FIRST, _OF_INITIAL, _OF_VOWEL = 0xAC00, 588, 28


def common_syllable(syllable: str) -> bool:
    """Whether a Hangul syllable consists of simple sounds, as nineteen of twenty in a text do."""
    initial, rest = divmod(ord(syllable) - _FIRST, _OF_INITIAL)
    vowel, final = divmod(rest, _OF_VOWEL)
    return initial in _INITIALS and vowel in _VOWELS and final in _FINALS
